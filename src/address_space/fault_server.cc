#include "address_space/fault_server.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "sys/own_thread.h"
#include "sys/standard_stream.h"
#include "sys/urgency.h"

namespace godwit::address_space {

using sys::Userfaultfd;
using transport::FrameType;

namespace {

constexpr std::chrono::seconds kLastAnswers(10);

constexpr uint64_t page_of(uint64_t address) { return address & ~(kPageBytes - 1); }

}  // namespace

FaultServer::FaultServer(transport::Connection requests, sys::WakeUp stop)
    : requests_(std::move(requests)),
      replies_(
          requests_, [this](pid_t pid, auto ranges, auto bytes) { return put(pid, ranges, bytes); },
          [](uint32_t) -> Result<int> { return error(ErrorKind::corrupt, "a memory object among pages asked for"); },
          [](pid_t, auto) -> Result<void> { return error(ErrorKind::corrupt, "no pages, but word of them"); }),
      stop_(std::move(stop)) {}

Result<std::unique_ptr<FaultServer>> FaultServer::create(transport::Connection requests) {
  sys::WakeUp stop = TRY(sys::WakeUp::make());
  return std::unique_ptr<FaultServer>(new FaultServer(std::move(requests), std::move(stop)));
}

FaultServer::~FaultServer() {
  stop_.set();
  if (thread_.joinable()) thread_.join();
}

Result<void> FaultServer::watch(pid_t pid, Userfaultfd faults, std::span<const sys::AddressRange> mappings,
                                OwedPages owed) {
  for (const sys::AddressRange& mapping : mappings) TRY(faults.watch_missing(mapping));
  processes_.push_back({pid, std::move(faults), std::move(owed)});
  return {};
}

Result<void> FaultServer::start() {
  thread_ = TRY(sys::start_own_thread([this] {
    sys::Urgency urgency = sys::Urgency::begin();  // a thread of the program waits for every answer
    serve();
  }));
  return {};
}

void FaultServer::serve() {
  auto served = serve_until_stopped();
  if (served) return;
  std::lock_guard lock(mutex_);
  failure_ = std::move(served.error());
}

Result<void> FaultServer::serve_until_stopped() {
  std::vector<pollfd> entries;
  for (;;) {
    entries.clear();
    entries.push_back({.fd = stop_.fd(), .events = POLLIN, .revents = 0});
    entries.push_back({.fd = requests_.fd(), .events = POLLIN, .revents = 0});
    {
      std::lock_guard lock(mutex_);
      std::erase_if(processes_, [](const Arriving& process) { return process.gone; });
      for (const Arriving& process : processes_) entries.push_back({process.faults.fd(), POLLIN, 0});
    }
    if (!TRY(requests_.has_input())) TRY(sys::wait_until_ready(entries, -1));
    if (entries[0].revents != 0) return {};
    while (TRY(requests_.has_input())) TRY(take_pages());
    std::vector<std::pair<pid_t, uint64_t>> wanted;
    {
      std::lock_guard lock(mutex_);
      for (Arriving& process : processes_) TRY(take_events(process));  // forks append to the list: seen the next time
      wanted.swap(wanted_);
    }
    for (auto [pid, address] : wanted) TRY(ask(pid, address));
    if (!wanted.empty()) TRY(requests_.flush());
  }
}

Result<void> FaultServer::take_events(Arriving& process) {
  for (;;) {
    auto event = process.faults.next();
    if (!event) {  // the address space is gone: execve, or its end
      process.gone = true;
      return {};
    }
    if (!*event) return {};
    if ((*event)->kind == Userfaultfd::Event::Kind::missing) {
      TRY(answer(process, page_of((*event)->address)));
    } else {
      follow(process, **event);
    }
  }
}

// What is owed is asked for; where nothing is owed the program sees the zeros that it would have seen at the source.
Result<void> FaultServer::answer(Arriving& process, uint64_t address) {
  ++counts_.faults;
  if (auto at_source = process.owed.owed_at(address)) {
    if (asked_[process.pid].contains(*at_source)) return {};
    asked_[process.pid].add({*at_source, *at_source + kPageBytes});
    wanted_.emplace_back(process.pid, *at_source);
    ++counts_.asked;
    return {};
  }
  sys::AddressRange page{address, address + kPageBytes};
  auto put = process.faults.put_zeros(page);
  if (!put && put.error().kind != ErrorKind::retry && put.error().kind != ErrorKind::gone) {
    return std::unexpected(std::move(put.error()));
  }
  (void)process.faults.wake(page);  // it faults again when the layout was changing
  return {};
}

void FaultServer::follow(Arriving& process, Userfaultfd::Event& event) {
  switch (event.kind) {
    case Userfaultfd::Event::Kind::fork:
      ++counts_.forks;
      processes_.push_back({process.pid, Userfaultfd::of_child(std::move(event.child)), process.owed});
      return;
    case Userfaultfd::Event::Kind::remap: process.owed.moved(event.range, event.to); return;
    case Userfaultfd::Event::Kind::removed:
    case Userfaultfd::Event::Kind::unmapped: process.owed.given_up(event.range); return;
    default: return;
  }
}

Result<void> FaultServer::ask(pid_t pid, uint64_t at_source) {
  struct {
    uint32_t pid;
    uint32_t pages;
    uint64_t address;
  } request{static_cast<uint32_t>(pid), 1, at_source};
  return requests_.send(FrameType::page_request, std::as_bytes(std::span(&request, 1)));
}

Result<void> FaultServer::take_pages() {
  transport::FrameHeader header = TRY(requests_.receive_header());
  if (!PageReceiver::takes(header.type)) return error(ErrorKind::corrupt, "something else than the pages asked for");
  return replies_.receive_pages(header);
}

Result<void> FaultServer::put(pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes) {
  size_t at = 0;
  for (const sys::AddressRange& range : ranges) {
    std::span<const std::byte> content = bytes.subspan(at, range.size());
    at += range.size();
    for (bool done = false; !done;) {
      std::unique_lock lock(mutex_);
      done = true;
      for (Arriving& process : processes_) {
        if (process.pid == pid && !process.gone) done = TRY(put_in(process, range, content)) && done;
      }
      lock.unlock();
      if (!done) std::this_thread::yield();  // an event is to be read first, by the server's thread or below
    }
  }
  return {};
}

// True when all of it is in place. False: an event of this process must be read first.
Result<bool> FaultServer::put_in(Arriving& process, sys::AddressRange at_source, std::span<const std::byte> bytes) {
  for (const OwedPages::Part& part : process.owed.parts(at_source)) {
    size_t done = 0;
    while (done < part.at_source.size()) {
      std::span<const std::byte> rest =
          bytes.subspan(part.at_source.start - at_source.start + done, part.at_source.size() - done);
      auto put = process.faults.copy(part.now + done, rest);
      // The kernel wants all of it in one mapping; what crosses a border goes page by page.
      bool crosses = !put && put.error().kind != ErrorKind::retry && rest.size() > kPageBytes;
      if (crosses) put = process.faults.copy(part.now + done, rest.first(kPageBytes));
      if (!put && put.error().kind == ErrorKind::retry) {
        process.owed.received({part.at_source.start, part.at_source.start + done});
        bool nobody_else = std::this_thread::get_id() == thread_.get_id() || failure_;
        if (nobody_else) TRY(take_events(process));
        return false;
      }
      if (!put && put.error().kind == ErrorKind::gone && put.error().errno_value == ESRCH) {
        process.gone = true;
        return true;
      }
      // Whatever is there already, or no longer a place for pages, is not ours to fill.
      done += put && *put > 0 ? *put : kPageBytes;
    }
    process.owed.received(part.at_source);
    (void)process.faults.wake({part.now, part.now + part.at_source.size()});
  }
  return true;
}

bool FaultServer::owes_nothing() {
  std::lock_guard lock(mutex_);
  auto done = [](const Arriving& process) { return process.gone || process.owed.empty(); };
  return failure_ || std::all_of(processes_.begin(), processes_.end(), done);
}

Result<void> FaultServer::finish() {
  // Answers to the last requests may still be under way: on the other connection.
  auto deadline = std::chrono::steady_clock::now() + kLastAnswers;
  while (!owes_nothing()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return error(ErrorKind::peer_lost, "pages that the source has sent did not arrive");
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  stop_.set();
  if (thread_.joinable()) thread_.join();
  if (auto failed = failure()) return std::unexpected(std::move(*failed));
  std::lock_guard lock(mutex_);
  processes_.clear();  // closing what watched them lets everybody go on
  return {};
}

void FaultServer::pause() {
  stop_.set();
  requests_.shut_down();
  if (thread_.joinable()) thread_.join();
  stop_.clear();
  failure_.reset();
}

std::map<pid_t, RangeSet> FaultServer::owed() {
  std::map<pid_t, RangeSet> all;  // forked processes share a name, and may have received different parts
  for (const Arriving& process : processes_) {
    if (!process.gone) all[process.pid].add(process.owed.ranges());
  }
  return all;
}

Result<void> FaultServer::resume(transport::Connection requests) {
  requests_ = std::move(requests);
  std::map<pid_t, RangeSet> left = owed();
  for (auto& [pid, asked] : asked_) {
    RangeSet again;
    for (const sys::AddressRange& range : asked.within(sys::kEverywhere)) again.add(left[pid].within(range));
    asked = std::move(again);
    for (const sys::AddressRange& range : asked.within(sys::kEverywhere)) {
      for (uint64_t page = range.start; page < range.end; page += kPageBytes) TRY(ask(pid, page));
    }
  }
  TRY(requests_.flush());
  return start();
}

std::optional<Error> FaultServer::failure() {
  std::lock_guard lock(mutex_);
  return failure_;
}

FaultServer::Counts FaultServer::counts() const { return counts_; }

}  // namespace godwit::address_space
