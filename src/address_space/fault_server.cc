#include "address_space/fault_server.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "sys/standard_stream.h"
#include "sys/urgency.h"

namespace godwit::address_space {

using sys::Userfaultfd;
using transport::FrameType;

namespace {

constexpr std::chrono::seconds kLastAnswers(10);
constexpr std::chrono::milliseconds kTimedAtMost(50);  // an answer may be partly or wholly empty
constexpr uint64_t kTellBytes = 4 << 20;               // in place, before the source is told of it

constexpr uint64_t page_of(uint64_t address) { return address & ~(kPageBytes - 1); }

}  // namespace

FaultServer::FaultServer(transport::Connection requests, sys::WakeUp stop, sys::WakeUp tell)
    : requests_(std::move(requests)),
      replies_(
          requests_, [this](pid_t pid, auto ranges, auto bytes) { return take_answer(pid, ranges, bytes); },
          [](uint32_t) -> Result<int> { return error(ErrorKind::corrupt, "a memory object among pages asked for"); },
          [](pid_t, auto) -> Result<void> { return error(ErrorKind::corrupt, "no pages, but word of them"); }),
      stop_(std::move(stop)),
      tell_(std::move(tell)) {}

Result<std::unique_ptr<FaultServer>> FaultServer::create(transport::Connection requests) {
  sys::WakeUp stop = TRY(sys::WakeUp::make());
  sys::WakeUp tell = TRY(sys::WakeUp::make());
  std::unique_ptr<FaultServer> server(new FaultServer(std::move(requests), std::move(stop), std::move(tell)));
  TRY(server->make_thread());
  return server;
}

FaultServer::~FaultServer() {
  stop_.set();
  thread_.join();
}

Result<void> FaultServer::watch(pid_t pid, Userfaultfd faults, sys::PageMap pages,
                                std::span<const sys::AddressRange> mappings, OwedPages owed) {
  for (const sys::AddressRange& mapping : mappings) TRY(faults.watch_missing(mapping));
  processes_.push_back({pid, std::move(faults), std::move(pages), std::move(owed)});
  return {};
}

// Urgent: a thread of the program waits for every answer.
Result<void> FaultServer::make_thread() {
  thread_ = TRY(sys::ReadyThread::make(sys::stay_urgent, [this] { serve(); }));
  return {};
}

void FaultServer::start() { thread_.begin(); }

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
    entries.push_back({.fd = tell_.fd(), .events = POLLIN, .revents = 0});
    {
      std::lock_guard lock(mutex_);
      std::erase_if(processes_, [](const Arriving& process) { return process.gone; });
      for (const Arriving& process : processes_) entries.push_back({process.faults.fd(), POLLIN, 0});
    }
    if (!TRY(requests_.has_input())) TRY(sys::wait_until_ready(entries, -1));
    if (entries[0].revents != 0) return {};
    while (TRY(requests_.has_input())) TRY(take_pages());
    for (Waiting waiting = TRY(look_at_program()); !waiting.empty(); waiting = TRY(look_at_program())) {
      TRY(do_waiting(waiting));
    }
    if (entries[2].revents != 0) TRY(tell_in_place());
  }
}

Result<FaultServer::Waiting> FaultServer::look_at_program() {
  std::lock_guard lock(mutex_);
  for (Arriving& process : processes_) TRY(take_events(process));  // forks append to the list
  let_go_of_unneeded();
  return std::exchange(waiting_, {});
}

// What the program waits for that is here already comes first.
Result<void> FaultServer::do_waiting(Waiting& waiting) {
  for (auto& [page, bytes] : waiting.pages) {
    sys::AddressRange range{page.second, page.second + kPageBytes};
    TRY(put(page.first, std::span(&range, 1), bytes));
  }
  for (const Request& request : waiting.requests) {
    TRY(ask(request));
    time_request(request);
  }
  return waiting.requests.empty() ? Result<void>() : requests_.flush();
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
    if (let_go_of({process.pid, *at_source})) return {};
    if (asked_[process.pid].contains(*at_source)) return {};
    asked_[process.pid].add({*at_source, *at_source + kPageBytes});
    auto pages = read_ahead_[process.pid].fetch(*at_source);
    if (!pages) return {};  // what was asked for comes, or has been pushed: both connections are in order
    waiting_.requests.push_back({process.pid, *pages});
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
      processes_.push_back({process.pid, Userfaultfd::of_child(std::move(event.child)), std::nullopt, process.owed});
      return;
    case Userfaultfd::Event::Kind::remap: process.owed.moved(event.range, event.to); return;
    case Userfaultfd::Event::Kind::removed:
    case Userfaultfd::Event::Kind::unmapped: process.owed.given_up(event.range); return;
    default: return;
  }
}

Result<void> FaultServer::ask(const Request& request) {
  struct {
    uint32_t pid;
    uint32_t pages;
    uint64_t address;
  } asked{static_cast<uint32_t>(request.pid), static_cast<uint32_t>(request.pages.size() / kPageBytes),
          request.pages.start};
  return requests_.send(FrameType::page_request, std::as_bytes(std::span(&asked, 1)));
}

// An answer's pages are put in place, but for those that are to show whether the program comes to them.
Result<void> FaultServer::take_answer(pid_t pid, std::span<const sys::AddressRange> ranges,
                                      std::span<const std::byte> bytes) {
  time_answer(pid, ranges);
  for (const sys::AddressRange& range : ranges) {
    std::span<const std::byte> content = bytes.first(range.size());
    bytes = bytes.subspan(range.size());
    auto put_part = [&](uint64_t start, uint64_t end) -> Result<void> {
      sys::AddressRange part{start, end};
      if (start == end) return {};
      return put(pid, std::span(&part, 1), content.subspan(start - range.start, end - start));
    };
    uint64_t from = range.start;
    for (uint64_t page = range.start; page < range.end; page += kPageBytes) {
      if (!hold_back({pid, page}, content.subspan(page - range.start, kPageBytes))) continue;
      TRY(put_part(from, page));
      from = page + kPageBytes;
    }
    TRY(put_part(from, range.end));
  }
  return {};
}

void FaultServer::time_request(const Request& request) {
  auto now = std::chrono::steady_clock::now();
  if (!timed_ || now - timed_->asked > kTimedAtMost) timed_ = {request, now, {}};
}

void FaultServer::time_answer(pid_t pid, std::span<const sys::AddressRange> ranges) {
  if (!timed_ || timed_->request.pid != pid || ranges.empty()) return;
  auto now = std::chrono::steady_clock::now();
  if (ranges.front().start == timed_->request.pages.start) {
    timed_->first = now;
  } else if (timed_->first && ranges.back().end <= timed_->request.pages.end) {
    uint64_t others = 0;
    for (const sys::AddressRange& range : ranges) others += range.size() / kPageBytes;
    std::lock_guard lock(mutex_);
    read_ahead_[pid].note_answer(*timed_->first - timed_->asked, others, now - *timed_->first);
    timed_.reset();
  }
}

bool FaultServer::hold_back(PageOfProcess page, std::span<const std::byte> bytes) {
  std::lock_guard lock(mutex_);
  auto rule = read_ahead_.find(page.first);
  if (!holds_back_ || rule == read_ahead_.end() || !rule->second.is_marker(page.second)) return false;
  if (asked_[page.first].contains(page.second)) return false;
  held_back_[page].assign(bytes.begin(), bytes.end());
  return true;
}

// The program has come to a page that is held back: it gets it, and what is behind it is fetched.
bool FaultServer::let_go_of(PageOfProcess page) {
  auto held = held_back_.extract(page);
  if (held.empty()) return false;
  auto [pid, at_source] = page;
  waiting_.pages.emplace_back(page, std::move(held.mapped()));
  if (auto next = read_ahead_[pid].came_to(at_source)) waiting_.requests.push_back({pid, *next});
  return true;
}

// Those of windows that are forgotten.
void FaultServer::let_go_of_unneeded() {
  for (auto held = held_back_.begin(); held != held_back_.end();) {
    auto here = held++;
    if (read_ahead_[here->first.first].is_marker(here->first.second)) continue;
    waiting_.pages.emplace_back(here->first, std::move(here->second));
    held_back_.erase(here);
  }
}

Result<void> FaultServer::put_held_back() {
  Waiting all;
  {
    std::lock_guard lock(mutex_);
    holds_back_ = false;
    for (auto& [page, bytes] : std::exchange(held_back_, {})) all.pages.emplace_back(page, std::move(bytes));
  }
  return do_waiting(all);
}

void FaultServer::note_in_place(pid_t pid, std::span<const sys::AddressRange> ranges) {
  std::lock_guard lock(mutex_);
  in_place_[pid].add(ranges);
  for (const sys::AddressRange& range : ranges) in_place_bytes_ += range.size();
  if (in_place_bytes_ >= kTellBytes) tell_.set();
}

Result<void> FaultServer::tell_in_place() {
  std::map<pid_t, RangeSet> told;
  {
    std::lock_guard lock(mutex_);
    tell_.clear();
    in_place_bytes_ = 0;
    told.swap(in_place_);
  }
  for (const auto& [pid, ranges] : told) {
    TRY(send_ranges(requests_, FrameType::pages_in_place, pid, ranges.within(sys::kEverywhere)));
  }
  return requests_.flush();
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
  note_in_place(pid, ranges);
  return {};
}

// What is to be filled of `range`: a page put over a guard page would take its place (mm/userfaultfd.c,
// mfill_atomic_install_pte).
std::vector<sys::AddressRange> FaultServer::to_fill(const Arriving& process, sys::AddressRange range) {
  if (!process.pages || !sys::tells_guard_pages()) return {range};
  std::vector<sys::PageRegion> guards;
  if (!process.pages->scan(range, {.all_of = sys::kPageGuard, .report = sys::kPageGuard}, guards)) return {range};
  RangeSet rest;
  rest.add(range);
  for (const sys::PageRegion& guard : guards) rest.remove(guard.range);
  return rest.within(range);
}

// True when all of it is in place. False: an event of this process must be read first.
Result<bool> FaultServer::put_in(Arriving& process, sys::AddressRange at_source, std::span<const std::byte> bytes) {
  for (const OwedPages::Part& part : process.owed.parts(at_source)) {
    std::span<const std::byte> content = bytes.subspan(part.at_source.start - at_source.start, part.at_source.size());
    for (sys::AddressRange range : to_fill(process, {part.now, part.now + content.size()})) {
      while (range.start < range.end) {
        std::span<const std::byte> rest = content.subspan(range.start - part.now, range.size());
        auto put = process.faults.copy(range.start, rest);
        // The kernel wants all of it in one mapping; what crosses a border goes page by page.
        bool crosses = !put && put.error().kind != ErrorKind::retry && rest.size() > kPageBytes;
        if (crosses) put = process.faults.copy(range.start, rest.first(kPageBytes));
        if (!put && put.error().kind == ErrorKind::retry) {
          process.owed.received({part.at_source.start, part.at_source.start + (range.start - part.now)});
          bool nobody_else = thread_.is_caller() || failure_;
          if (nobody_else) TRY(take_events(process));
          return false;
        }
        if (!put && put.error().kind == ErrorKind::gone && put.error().errno_value == ESRCH) {
          process.gone = true;
          return true;
        }
        // Whatever is there already, or no longer a place for pages, is not ours to fill.
        range.start += put && *put > 0 ? *put : kPageBytes;
      }
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
  TRY(put_held_back());
  // Answers to the last requests may still be under way: on the other connection.
  auto deadline = std::chrono::steady_clock::now() + kLastAnswers;
  while (!owes_nothing()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return error(ErrorKind::peer_lost, "pages that the source has sent did not arrive");
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  stop_.set();
  thread_.join();
  if (auto failed = failure()) return std::unexpected(std::move(*failed));
  std::lock_guard lock(mutex_);
  processes_.clear();  // closing what watched them lets everybody go on
  return {};
}

void FaultServer::pause() {
  stop_.set();
  requests_.shut_down();
  thread_.join();
  stop_.clear();
  failure_.reset();
  held_back_.clear();  // they are lacking like all that was under way
  for (auto& [pid, rule] : read_ahead_) rule.forget_windows();
  waiting_ = {};
  timed_.reset();
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
  holds_back_ = true;
  std::map<pid_t, RangeSet> left = owed();
  for (auto& [pid, asked] : asked_) {
    RangeSet again;
    for (const sys::AddressRange& range : asked.within(sys::kEverywhere)) again.add(left[pid].within(range));
    asked = std::move(again);
    for (const sys::AddressRange& range : asked.within(sys::kEverywhere)) {
      for (uint64_t page = range.start; page < range.end; page += kPageBytes)
        TRY(ask({pid, {page, page + kPageBytes}}));
    }
  }
  TRY(requests_.flush());
  TRY(make_thread());
  start();
  return {};
}

std::optional<Error> FaultServer::failure() {
  std::lock_guard lock(mutex_);
  return failure_;
}

FaultServer::Counts FaultServer::counts() {
  std::lock_guard lock(mutex_);
  Counts counts = counts_;
  for (const auto& [pid, rule] : read_ahead_) {
    counts.ahead += rule.pages_ahead();
    counts.ahead_used += rule.pages_ahead_used();
  }
  return counts;
}

}  // namespace godwit::address_space
