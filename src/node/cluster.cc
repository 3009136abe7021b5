// This node as the others see it, and the others as this one knows them.
#include <spdlog/spdlog.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <map>
#include <thread>

#include "node/arrival.h"
#include "node/daemon.h"
#include "node/departure.h"

namespace godwit::node {

namespace {
constexpr std::chrono::seconds kHeartbeat(2);
constexpr std::chrono::seconds kLease(8);
constexpr std::chrono::milliseconds kRetry(200);
constexpr std::chrono::seconds kWatch(5);
}  // namespace

api::Node Daemon::self() {
  api::Node self;
  self.set_name(config_.node);
  bool version6 = config_.address.find(':') != std::string::npos;
  self.set_address((version6 ? "[" + config_.address + "]" : config_.address) + ":" + std::to_string(config_.port));
  struct sysinfo info{};
  ::sysinfo(&info);
  self.set_processors(std::thread::hardware_concurrency());
  self.set_load(static_cast<double>(info.loads[0]) / (1 << SI_LOAD_SHIFT));
  self.set_memory_bytes(uint64_t{info.totalram} * info.mem_unit);
  self.set_memory_free_bytes(uint64_t{info.freeram} * info.mem_unit);
  self.set_jobs(static_cast<uint32_t>(std::count_if(jobs_.begin(), jobs_.end(), [](auto& entry) {
    return entry.second->state == JobState::running || entry.second->state == JobState::moving;
  })));
  utsname names{};
  ::uname(&names);
  self.set_kernel(names.release);
  self.set_version(GODWIT_VERSION);
  self.set_directory(config_.directory_node.empty());
  self.set_number(number_);
  return self;
}

// node/ is who belongs to the cluster, written once; up/, under a lease and again and again, who is there and how it
// is.
Result<void> Daemon::enter_directory() {
  if (number_ == 0) {
    number_ = TRY(claim_number());
    loop_.post([this] {
      messages_.set_own_number(number_);
      if (messages_.ready()) publications_.follow(messages_.place(), number_);
    });
  }
  api::Node present = self();
  TRY(directory_->put("node/" + present.name(), present.SerializeAsString(), directory::Expect::anything(), {}));
  entered_ = true;
  return {};
}

// The lowest that no other node has; kept for good.
Result<uint32_t> Daemon::claim_number() {
  constexpr int kTries = 16;  // others may join at the same time
  for (int tries = 0; tries < kTries; ++tries) {
    std::set<uint32_t> taken;
    for (const auto& entry : TRY(directory_->list("number/"))) {
      auto number = static_cast<uint32_t>(std::strtoul(entry.key.c_str() + 7, nullptr, 10));
      if (entry.value == config_.node) return number;
      taken.insert(number);
    }
    uint32_t number = 1;
    while (taken.contains(number)) ++number;
    if (number > forwarding::VirtualAddress::kMostNodes) break;
    auto put = directory_->put("number/" + std::to_string(number), config_.node, directory::Expect::exactly(0));
    if (put) return number;
    if (put.error().kind != ErrorKind::conflict) return std::unexpected(put.error());
  }
  return error(ErrorKind::exhausted, "no number for this node among the cluster's virtual addresses");
}

Result<void> Daemon::report_up(const api::Node& self) {
  if (!entered_) TRY(enter_directory());
  TRY(directory_->put("up/" + self.name(), self.SerializeAsString(), directory::Expect::anything(), kLease));
  return {};
}

// Other nodes are known here as soon as they have entered the directory.
void Daemon::watch_nodes() {
  watcher_.run([this] {
    auto version = directory_->watch("node/", nodes_seen_, kWatch);
    auto learned = version ? learn_nodes() : Result<void>(std::unexpected(version.error()));
    if (learned) {
      nodes_seen_ = *version;
    } else {
      std::this_thread::sleep_for(kHeartbeat);
    }
    watch_nodes();
  });
}

void Daemon::join_cluster(std::chrono::milliseconds patience) {
  auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto done = report_up(self());
    if (done) done = learn_nodes();
    if (done) break;
    if (std::chrono::steady_clock::now() > deadline) {
      spdlog::warn("the directory on {} does not answer yet: {}", config_.directory_node, done.error().message());
      break;
    }
    std::this_thread::sleep_for(kRetry);
  }
  loop_.after(kHeartbeat, [this] { heartbeat(); });
  watch_nodes();
}

// One at a time: the next is set off when this one is done.
void Daemon::heartbeat() {
  heart_.run([this, node = self()] {
    auto done = report_up(node);
    if (!done) spdlog::warn("directory: {}", done.error().message());
    loop_.post([this] { loop_.after(kHeartbeat, [this] { heartbeat(); }); });
  });
}

Result<void> Daemon::learn_nodes() {
  for (const auto& entry : TRY(directory_->list("node/"))) {
    api::Node node;
    if (!node.ParseFromString(entry.value) || node.name() == config_.node) continue;
    size_t colon = node.address().rfind(':');
    std::string host = node.address().substr(0, colon);
    if (host.starts_with("[")) host = host.substr(1, host.size() - 2);
    auto port = static_cast<unsigned>(std::strtoul(node.address().c_str() + colon + 1, nullptr, 10));
    peers_.set_address(node.name(), host, port);
    messages_.learn_node(node.name(), node.number(), host);
  }
  messages_.nodes_learned();
  return {};
}

bool Daemon::knows_node(const std::string& node) {
  if (!peers_.address_of(node).empty()) return true;
  return learn_nodes() && !peers_.address_of(node).empty();
}

Result<api::NodesReply> Daemon::nodes() {
  std::map<std::string, std::string> present;
  for (auto& entry : TRY(directory_->list("up/"))) present[entry.key.substr(3)] = std::move(entry.value);
  api::NodesReply reply;
  for (const auto& entry : TRY(directory_->list("node/"))) {
    api::Node node;
    auto up = present.find(entry.key.substr(5));
    if (!node.ParseFromString(up == present.end() ? entry.value : up->second)) continue;
    node.set_up(up != present.end());
    node.set_self(node.name() == config_.node);
    *reply.add_nodes() = std::move(node);
  }
  return reply;
}

}  // namespace godwit::node
