#include "address_space/sending_streams.h"

#include <algorithm>
#include <chrono>

#include "proc/idle_time.h"
#include "sys/own_thread.h"
#include "sys/processor_time.h"
#include "sys/stream_socket.h"
#include "sys/text_file.h"

namespace godwit::address_space {

using transport::FrameType;

namespace {

constexpr size_t kLoadsPerLane = 2;  // one under way, one that waits
constexpr std::chrono::milliseconds kInterval(200);
constexpr double kTicksPerSecond = 100;  // USER_HZ

Result<double> idle_seconds() {
  return static_cast<double>(TRY(proc::parse_idle_ticks(TRY(sys::read_text("/proc/stat"))))) / kTicksPerSecond;
}

Result<void> send_barrier(transport::Connection& connection, StreamBarrier barrier) {
  return connection.send(FrameType::stream_barrier, std::as_bytes(std::span(&barrier, 1)));
}

}  // namespace

SendingStreams::SendingStreams(transport::Connection& main, uint32_t wanted, Connect connect)
    : main_(main), connect_(std::move(connect)), wanted_(wanted) {}

SendingStreams::~SendingStreams() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    for (const Lane& lane : lanes_) {
      if (lane.socket >= 0) sys::shut_down_stream(lane.socket);
    }
  }
  changed_.notify_all();
  for (Lane& lane : lanes_) {
    if (lane.thread.joinable()) lane.thread.join();
  }
}

Result<void> SendingStreams::use(uint32_t lanes) {
  while (lanes_.size() < lanes) {
    auto number = static_cast<uint32_t>(lanes_.size());
    Lane* lane = nullptr;
    {
      std::lock_guard lock(mutex_);
      lane = &lanes_.emplace_back();
      for (size_t i = 0; i < kLoadsPerLane; ++i) free_.emplace_back(kChunkBytes);
    }
    lane->thread = TRY(sys::start_own_thread([this, lane, number] { run(*lane, number); }));
  }
  std::lock_guard lock(mutex_);
  used_ = lanes;
  return {};
}

void SendingStreams::run(Lane& lane, uint32_t number) {
  auto ended = serve(lane, number);
  std::lock_guard lock(mutex_);
  if (ended || over_ || failure_) return;
  failure_ = std::move(ended.error()).within("a further connection for memory");
  changed_.notify_all();
}

Result<void> SendingStreams::serve(Lane& lane, uint32_t number) {
  transport::Connection connection = TRY(connect_());
  {
    std::lock_guard lock(mutex_);
    if (over_) return {};
    lane.socket = connection.fd();
  }
  changed_.notify_all();
  auto sent = send_loads(lane, number, connection);
  std::lock_guard lock(mutex_);
  lane.socket = -1;
  return sent;
}

Result<void> SendingStreams::send_loads(Lane& lane, uint32_t number, transport::Connection& connection) {
  ChunkSender sender(connection);
  uint64_t epoch = 0;
  while (std::optional<Taken> load = next(number)) {
    if (load->epoch != epoch) TRY(send_barrier(connection, {0, load->epoch}));
    epoch = load->epoch;
    TRY(sender.send(load->pid, load->pages, load->ranges, std::span(load->buffer).first(load->size)));
    TRY(connection.flush());  // the other side may be waiting for it
    std::lock_guard lock(mutex_);
    lane.bytes_sent = connection.bytes_sent();
    lane.compressed = sender.compressed();
    lane.busy = sys::thread_processor_time();
    free_.push_back(std::move(load->buffer));
  }
  return {};
}

std::optional<SendingStreams::Taken> SendingStreams::next(uint32_t number) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return over_ || (number < used_ && !queue_.empty()); });
  if (over_) return std::nullopt;
  Taken load = std::move(queue_.front());
  queue_.pop_front();
  return load;
}

Result<bool> SendingStreams::take(const Load& load, std::vector<std::byte>& buffer) {
  if (wanted_ == 0) TRY(choose(load.size));
  if (wanted_ > 1 && lanes_.empty()) TRY(use(wanted_ - 1));
  {
    std::lock_guard lock(mutex_);
    if (failure_) return Error(*failure_);
    if (free_.empty() || queue_.size() >= used_ * kLoadsPerLane) return false;
  }
  if (!open_) {
    ++epoch_;
    TRY(send_barrier(main_, {frames_, epoch_}));
    TRY(main_.flush());  // those that wait for it are on their way
    open_ = true;
  }
  std::lock_guard lock(mutex_);
  Taken& taken =
      queue_.emplace_back(load.pid, load.pages, std::vector<sys::AddressRange>(load.ranges.begin(), load.ranges.end()),
                          std::move(free_.back()), load.size, epoch_);
  free_.pop_back();
  std::swap(taken.buffer, buffer);
  ++frames_;
  changed_.notify_all();
  return true;
}

Result<void> SendingStreams::await_made() {
  std::unique_lock lock(mutex_);
  auto made = [](const Lane& lane) { return lane.socket >= 0; };
  changed_.wait(lock, [&] { return failure_ || std::ranges::all_of(lanes_, made); });
  return failure_ ? Result<void>(Error(*failure_)) : Result<void>();
}

Result<void> SendingStreams::order() {
  if (!std::exchange(open_, false)) return {};
  return send_barrier(main_, {frames_, epoch_});
}

// Now and then, while the number is to be found.
Result<void> SendingStreams::choose(size_t bytes) {
  auto now = std::chrono::steady_clock::now();
  if (begin_) begin_->bytes += bytes;
  if (begin_ && now - begin_->at < kInterval) return {};
  double busy = busy_seconds();
  double idle = idle_seconds().value_or(0);  // unknown: none is idle
  if (begin_) {
    double seconds = std::chrono::duration<double>(now - begin_->at).count();
    uint32_t streams =
        choice_.after({seconds, begin_->bytes, busy - begin_->busy_seconds, (idle - begin_->idle_seconds) / seconds});
    if (streams != used_ + 1) TRY(use(streams - 1));
  }
  begin_ = {now, busy, idle, 0};
  return {};
}

// Of all sending threads together.
double SendingStreams::busy_seconds() const {
  std::chrono::nanoseconds busy = sys::thread_processor_time();
  std::lock_guard lock(mutex_);
  for (const Lane& lane : lanes_) busy += lane.busy;
  return std::chrono::duration<double>(busy).count();
}

uint64_t SendingStreams::bytes_sent() const {
  std::lock_guard lock(mutex_);
  uint64_t bytes = 0;
  for (const Lane& lane : lanes_) bytes += lane.bytes_sent;
  return bytes;
}

CompressedBytes SendingStreams::compressed() const {
  std::lock_guard lock(mutex_);
  CompressedBytes all;
  for (const Lane& lane : lanes_) {
    all.from += lane.compressed.from;
    all.to += lane.compressed.to;
  }
  return all;
}

}  // namespace godwit::address_space
