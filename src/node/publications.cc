#include "node/publications.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <thread>

#include "node/switchover.h"
#include "sys/reserved_port.h"

namespace godwit::node {

namespace {

constexpr std::string_view kPrefix = "publish/";
constexpr std::chrono::seconds kWatch(5), kRetry(2);
constexpr uint32_t kMostPort = 65535;
constexpr int kMostPublications = 64;
constexpr uint32_t kFirstOfUsers = 1024;

std::string key_of(const api::Publication& port) {
  return fmt::format("{}{}/{}", kPrefix, port.udp() ? "udp" : "tcp", port.node_port());
}

bool well_formed(const api::Publication& port) {
  auto fits = [](uint32_t number) { return number >= 1 && number <= kMostPort; };
  return fits(port.node_port()) && fits(port.job_port());
}

forwarding::PublishedPort for_kernel(const api::PublishedPort& port) {
  const api::Publication& publication = port.publication();
  return {static_cast<uint16_t>(publication.node_port()),
          {port.address()},
          static_cast<uint16_t>(publication.job_port()),
          publication.udp()};
}

// The job that an entry is for; nothing when it has ended or is not known.
Result<std::optional<api::Job>> job_of(directory::Directory& directory, const api::PublishedPort& port) {
  auto entry = TRY(directory.get(job_key(port.job())));
  api::Job job;
  bool lives = entry && job.ParseFromString(entry->value) && job.state() != api::ENDED;
  return lives ? std::optional(job) : std::nullopt;
}

}  // namespace

std::string to_text(const api::Publication& port) {
  return fmt::format("{}->{}/{}", port.node_port(), port.job_port(), port.udp() ? "udp" : "tcp");
}

Result<void> Publications::check(const google::protobuf::RepeatedPtrField<api::Publication>& ports, uint32_t uid) {
  std::set<std::string> keys;
  if (ports.size() > kMostPublications) return error(ErrorKind::corrupt, "a job may publish at most 64 ports");
  for (const api::Publication& port : ports) {
    if (!well_formed(port)) return error(ErrorKind::corrupt, to_text(port) + ": a port is a number from 1 to 65535");
    if (!keys.insert(key_of(port)).second)
      return error(ErrorKind::corrupt, to_text(port) + ": that port is given twice");
    if (uid != 0 && port.node_port() < kFirstOfUsers) {
      return error(ErrorKind::denied, to_text(port) + ": only root may publish ports below 1024; choose another one");
    }
  }
  return {};
}

void Publications::follow(const forwarding::NodePlace& here, uint32_t number) {
  {
    std::lock_guard lock(mutex_);
    auto kernel = forwarding::PublishedPorts::open(here, number);
    if (!kernel) return spdlog::warn("ports cannot be published here: {}", kernel.error().message());
    kernel_.emplace(std::move(*kernel));
  }
  watch();
}

void Publications::watch() {
  watcher_.run([this] {
    auto version = directory_.watch(kPrefix, seen_, kWatch);
    auto done = version ? apply() : Result<void>(std::unexpected(version.error()));
    if (done) {
      seen_ = *version;
    } else {
      spdlog::warn("published ports: {}", done.error().message());
      std::this_thread::sleep_for(kRetry);
    }
    watch();
  });
}

// A port that another program here has stays that program's.
bool Publications::reserve(const std::string& key, const api::PublishedPort& port) {
  if (reserved_.contains(key)) return true;
  auto transport = port.publication().udp() ? sys::Transport::udp : sys::Transport::tcp;
  auto fd = sys::reserve_port(transport, static_cast<uint16_t>(port.publication().node_port()));
  if (!fd) {
    if (taken_.insert(key).second) spdlog::warn("not published here: {}: {}", key, fd.error().message());
    return false;
  }
  taken_.erase(key);
  reserved_.emplace(key, std::move(*fd));
  return true;
}

Result<void> Publications::apply() {
  std::lock_guard lock(mutex_);
  if (!kernel_) return {};
  std::vector<forwarding::PublishedPort> ports;
  std::set<std::string> present;
  for (const directory::Entry& entry : TRY(directory_.list(kPrefix))) {
    api::PublishedPort port;
    bool readable = port.ParseFromString(entry.value) && well_formed(port.publication()) &&
                    forwarding::VirtualAddress{port.address()}.valid();
    if (!readable || !TRY(job_of(directory_, port))) {
      (void)directory_.remove(entry.key, directory::Expect::exactly(entry.version));
      continue;
    }
    present.insert(entry.key);
    if (reserve(entry.key, port)) ports.push_back(for_kernel(port));
  }
  std::erase_if(reserved_, [&](const auto& each) { return !present.contains(each.first); });
  std::erase_if(taken_, [&](const auto& each) { return !present.contains(each); });
  return kernel_->set(ports);
}

Result<void> Publications::claim_one(const api::Job& job, const api::Publication& port) {
  api::PublishedPort entry;
  *entry.mutable_publication() = port;
  entry.set_job(job.id());
  entry.set_address(job.virtual_address());
  auto expect = directory::Expect::exactly(0);
  auto present = TRY(directory_.get(key_of(port)));
  api::PublishedPort other;
  if (present && other.ParseFromString(present->value)) {
    auto owner = TRY(job_of(directory_, other));
    if (owner) {
      return error(ErrorKind::conflict,
                   fmt::format("port {}/{} of the nodes leads to another job already; choose another one",
                               port.node_port(), port.udp() ? "udp" : "tcp"));
    }
    expect = directory::Expect::exactly(present->version);
  }
  TRY(directory_.put(key_of(port), entry.SerializeAsString(), expect));
  std::lock_guard lock(mutex_);
  if (reserve(key_of(port), entry)) return {};
  return error(ErrorKind::conflict, fmt::format("another program uses port {}/{} of {}; choose another one",
                                                port.node_port(), port.udp() ? "udp" : "tcp", self_));
}

Result<void> Publications::claim(const api::Job& job) {
  if (job.published().empty()) return {};
  if (job.virtual_address() == 0) {
    return error(ErrorKind::unsupported, self_ + " has no network for jobs, so that no port can be published");
  }
  for (const api::Publication& port : job.published()) {
    auto claimed = claim_one(job, port);
    if (!claimed) {
      withdraw(job);
      return claimed;
    }
  }
  auto applied = apply();
  if (!applied) withdraw(job);
  return applied;
}

void Publications::withdraw(const api::Job& job) {
  if (job.published().empty()) return;
  for (const api::Publication& port : job.published()) {
    auto present = directory_.get(key_of(port));
    api::PublishedPort entry;
    if (!present || !*present || !entry.ParseFromString((*present)->value) || entry.job() != job.id()) continue;
    (void)directory_.remove(key_of(port), directory::Expect::exactly((*present)->version));
  }
  auto applied = apply();  // what fails now is tried again by the watcher
  if (!applied) spdlog::warn("published ports: {}", applied.error().message());
}

}  // namespace godwit::node
