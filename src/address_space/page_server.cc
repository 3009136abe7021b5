#include "address_space/page_server.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "address_space/read_ahead.h"
#include "sys/urgency.h"

namespace godwit::address_space {

using transport::FrameType;

namespace {

constexpr uint64_t kPushBytes = 256 << 10;  // at once, so that a request never waits long for the lock

struct PageRequest {
  uint32_t pid;
  uint32_t pages;
  uint64_t address;
};

}  // namespace

Result<std::unique_ptr<PageServer>> PageServer::create(transport::Connection requests) {
  std::unique_ptr<PageServer> server(new PageServer(std::move(requests)));
  TRY(server->make_thread());
  return server;
}

PageServer::~PageServer() { stop(); }

void PageServer::stop() {
  requests_.shut_down();
  thread_.join();
}

void PageServer::owe(pid_t host_pid, pid_t pid, RangeSet pages) {
  if (!pages.empty()) owing_[pid] = {host_pid, std::move(pages)};
}

void PageServer::for_each_owed(const Owed& work) const {
  for (const auto& [pid, owing] : owing_) work(owing.host_pid, pid, owing.pages);
}

void PageServer::read_by(const PageSender::Read& read) {
  read_ = read;
  replies_.read_by(read);
}

Result<void> PageServer::resume(transport::Connection requests, std::map<pid_t, RangeSet> lacking) {
  requests_ = std::move(requests);
  replies_.abandon();
  TRY(make_thread());
  start_lacking(std::move(lacking));
  return {};
}

void PageServer::start_lacking(std::map<pid_t, RangeSet> lacking) {
  note_all();
  for (auto& [pid, owing] : owing_) {
    owing.pages.clear();
    for (const sys::AddressRange& range : owing.all.within(sys::kEverywhere)) {
      owing.pages.add(lacking[pid].within(range));
    }
    note_arrived(pid, owing.all.within(sys::kEverywhere));
  }
  start();
}

// Urgent: a thread of the program waits for every answer.
Result<void> PageServer::make_thread() {
  thread_ = TRY(sys::ReadyThread::make(sys::stay_urgent, [this] { serve(); }));
  return {};
}

void PageServer::start() { thread_.begin(); }

void PageServer::serve() {
  (void)serve_until_closed();  // the owner learns of a lost destination by its own connection
}

Result<void> PageServer::serve_until_closed() {
  for (;;) {
    transport::FrameHeader header = TRY(requests_.receive_header());
    if (header.type == FrameType::pages_in_place) {
      TRY(receive_ranges(requests_, header.length, [this](pid_t pid, auto ranges) -> Result<void> {
        std::lock_guard lock(mutex_);
        note_arrived(pid, ranges);
        return {};
      }));
      continue;
    }
    transport::Frame frame = TRY(requests_.receive_payload(header));
    if (frame.type != FrameType::page_request) return error(ErrorKind::corrupt, "no request for pages");
    TRY(answer(frame));
  }
}

// Only what was left behind and has been sent. Requires: the lock, or no other thread.
void PageServer::note_arrived(pid_t pid, std::span<const sys::AddressRange> ranges) {
  auto found = owing_.find(pid);
  if (found == owing_.end()) return;
  Owing& owing = found->second;
  for (const sys::AddressRange& range : ranges) {
    for (const sys::AddressRange& sent : owing.pages.outside(range)) {
      for (const sys::AddressRange& here : owing.all.within(sent)) {
        owing.all.remove(here);
        owing.arrived.add(here);
      }
    }
  }
}

void PageServer::give_back() {
  if (!give_back_) return;
  std::vector<std::pair<pid_t, RangeSet>> arrived;
  {
    std::lock_guard lock(mutex_);
    for (auto& [pid, owing] : owing_) {
      if (!owing.arrived.empty()) arrived.emplace_back(owing.host_pid, std::exchange(owing.arrived, {}));
    }
  }
  for (const auto& [host_pid, pages] : arrived) give_back_(host_pid, pages.within(sys::kEverywhere));
}

Result<void> PageServer::answer(const transport::Frame& frame) {
  PageRequest request;
  if (frame.payload.size() != sizeof request) return error(ErrorKind::corrupt, "a request for pages");
  std::memcpy(&request, frame.payload.data(), sizeof request);
  auto pid = static_cast<pid_t>(request.pid);
  std::vector<sys::AddressRange> ranges;
  pid_t host_pid = 0;
  {
    std::lock_guard lock(mutex_);
    auto owing = owing_.find(pid);
    if (owing == owing_.end()) return {};
    if (request.pages < ReadAhead::kFewestPages || request.pages > ReadAhead::kMostPages) {
      return error(ErrorKind::corrupt, "a request for " + std::to_string(request.pages) + " pages at once");
    }
    uint64_t end = request.address + request.pages * kPageBytes;
    if (request.address % kPageBytes != 0 || end < request.address)
      return error(ErrorKind::corrupt, "a request for pages at an impossible address");
    host_pid = owing->second.host_pid;
    ranges = owing->second.pages.within({request.address, end});
    // It was pushed and is not in place: it may be behind much else, and the program waits.
    bool under_way = !owing->second.pages.contains(request.address) && owing->second.all.contains(request.address);
    if (under_way) ranges.insert(ranges.begin(), {request.address, request.address + kPageBytes});
    on_request_again_ += under_way;
    for (const sys::AddressRange& range : ranges) owing->second.pages.remove(range);
    owing->second.all.add(ranges);
    owing->second.next = end;
  }
  ++answered_;
  if (ranges.empty()) return {};
  // The page that is waited for goes alone, before those that follow have even been read.
  PageOrigin origin{PageOwner::process(pid), host_pid};
  if (sys::AddressRange& first = ranges.front(); first.start == request.address) {
    sys::AddressRange alone{first.start, first.start + kPageBytes};
    TRY(send_now(origin, std::span(&alone, 1)));
    first.start = alone.end;
    if (first.size() == 0) ranges.erase(ranges.begin());
  }
  return ranges.empty() ? Result<void>() : send_now(origin, ranges);
}

Result<void> PageServer::send_now(const PageOrigin& origin, std::span<const sys::AddressRange> ranges) {
  for (const sys::AddressRange& range : ranges) {
    TRY(replies_.send(origin, range));
    on_request_ += range.size() / kPageBytes;
  }
  TRY(replies_.flush());
  return requests_.flush();
}

std::optional<sys::AddressRange> PageServer::take_next(Owing& owing) {
  auto left = owing.pages.first_from(owing.next);
  if (!left) left = owing.pages.first_from(0);
  if (!left) return std::nullopt;
  left->end = std::min(left->end, left->start + kPushBytes);
  owing.pages.remove(*left);
  owing.next = left->end;
  return left;
}

// What is owed now is all that was left behind.
void PageServer::note_all() {
  std::lock_guard lock(mutex_);
  for (auto& [pid, owing] : owing_) {
    if (!std::exchange(owing.noted, true)) owing.all.add(owing.pages.within(sys::kEverywhere));
  }
}

Result<void> PageServer::push(transport::Connection& bulk, SendingStreams* streams,
                              const std::function<void(uint64_t left)>& tell) {
  note_all();
  PageSender sender(bulk);
  sender.read_by(read_);
  sender.travel_by(streams);
  auto pushed = push_by(sender, bulk, tell);
  pushed_counts_ += sender.counts();
  return pushed;
}

PageCounts PageServer::counts() const {
  PageCounts counts = pushed_counts_;
  return counts += replies_.counts();
}

Result<void> PageServer::push_by(PageSender& sender, transport::Connection& bulk,
                                 const std::function<void(uint64_t left)>& tell) {
  for (;;) {
    give_back();
    PageOrigin origin;
    size_t gathered = 0;
    uint64_t left = 0;
    std::vector<sys::AddressRange> ranges;
    {
      std::lock_guard lock(mutex_);
      for (auto& [pid, owing] : owing_) {
        while (gathered < kPushBytes && (ranges.empty() || origin.owner.number() == pid)) {
          auto range = take_next(owing);
          if (!range) break;
          origin = {PageOwner::process(pid), owing.host_pid};
          gathered += range->size();
          ranges.push_back(*range);
        }
        left += owing.pages.bytes();
      }
    }
    if (ranges.empty()) {
      TRY(sender.order());
      return bulk.flush();
    }
    for (const sys::AddressRange& range : ranges) TRY(sender.send(origin, range));
    TRY(sender.flush());
    pushed_ += gathered / kPageBytes;
    tell(left);
  }
}

}  // namespace godwit::address_space
