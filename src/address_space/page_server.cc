#include "address_space/page_server.h"

#include <algorithm>
#include <cstring>

#include "sys/own_thread.h"
#include "sys/urgency.h"

namespace godwit::address_space {

using transport::FrameType;

namespace {

constexpr uint64_t kReadAheadPages = 16;    // with a page that is asked for: what comes next is likely wanted
constexpr uint64_t kPushBytes = 256 << 10;  // at once, so that a request never waits long for the lock

struct PageRequest {
  uint32_t pid;
  uint32_t pages;
  uint64_t address;
};

}  // namespace

PageServer::PageServer(transport::Connection requests) : requests_(std::move(requests)) {}

PageServer::~PageServer() { stop(); }

void PageServer::stop() {
  requests_.shut_down();
  if (thread_.joinable()) thread_.join();
}

void PageServer::owe(pid_t host_pid, pid_t pid, RangeSet pages) {
  if (!pages.empty()) owing_[pid] = {host_pid, std::move(pages)};
}

Result<void> PageServer::resume(transport::Connection requests, std::map<pid_t, RangeSet> lacking) {
  requests_ = std::move(requests);
  replies_.abandon();
  for (auto& [pid, owing] : owing_) {
    owing.pages.clear();
    for (const sys::AddressRange& range : owing.all.within(sys::kEverywhere)) {
      owing.pages.add(lacking[pid].within(range));
    }
  }
  return start();
}

Result<void> PageServer::start() {
  thread_ = TRY(sys::start_own_thread([this] {
    sys::Urgency urgency = sys::Urgency::begin();  // a thread of the program waits for every answer
    serve();
  }));
  return {};
}

void PageServer::serve() {
  (void)serve_until_closed();  // the owner learns of a lost destination by its own connection
}

Result<void> PageServer::serve_until_closed() {
  for (;;) {
    transport::Frame frame = TRY(requests_.receive());
    if (frame.type != FrameType::page_request) return error(ErrorKind::corrupt, "no request for pages");
    TRY(answer(frame));
  }
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
    uint64_t end = request.address + kReadAheadPages * kPageBytes;
    if (end < request.address) return error(ErrorKind::corrupt, "a request for pages beyond all addresses");
    host_pid = owing->second.host_pid;
    ranges = owing->second.pages.within({request.address, end});
    for (const sys::AddressRange& range : ranges) owing->second.pages.remove(range);
    owing->second.all.add(ranges);
    owing->second.next = end;
  }
  for (const sys::AddressRange& range : ranges) {
    TRY(replies_.send({host_pid, pid, false}, range));
    on_request_ += range.size() / kPageBytes;
  }
  TRY(replies_.flush());
  ++answered_;
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

Result<void> PageServer::push(transport::Connection& bulk, const std::function<void(uint64_t left)>& tell) {
  {
    std::lock_guard lock(mutex_);
    for (auto& [pid, owing] : owing_) {
      if (!std::exchange(owing.noted, true)) owing.all.add(owing.pages.within(sys::kEverywhere));
    }
  }
  PageSender sender(bulk);
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
    PageOrigin origin;
    size_t gathered = 0;
    uint64_t left = 0;
    std::vector<sys::AddressRange> ranges;
    {
      std::lock_guard lock(mutex_);
      for (auto& [pid, owing] : owing_) {
        while (gathered < kPushBytes && (origin.pid == 0 || origin.pid == pid)) {
          auto range = take_next(owing);
          if (!range) break;
          origin = {owing.host_pid, pid, false};
          gathered += range->size();
          ranges.push_back(*range);
        }
        left += owing.pages.bytes();
      }
    }
    if (ranges.empty()) return bulk.flush();
    for (const sys::AddressRange& range : ranges) TRY(sender.send(origin, range));
    TRY(sender.flush());
    pushed_ += gathered / kPageBytes;
    tell(left);
  }
}

}  // namespace godwit::address_space
