#include "address_space/receiving_streams.h"

#include <poll.h>

#include <algorithm>

#include "address_space/page_stream.h"
#include "address_space/sending_streams.h"
#include "sys/own_thread.h"
#include "sys/standard_stream.h"
#include "sys/stream_socket.h"

namespace godwit::address_space {

using transport::FrameType;

namespace {

Result<StreamBarrier> receive_barrier_of(transport::Connection& connection, transport::FrameHeader header) {
  StreamBarrier barrier;
  if (header.length != sizeof barrier) return error(ErrorKind::corrupt, "a barrier of a wrong length");
  TRY(connection.receive_bytes(std::as_writable_bytes(std::span(&barrier, 1))));
  return barrier;
}

}  // namespace

ReceivingStreams::ReceivingStreams(uint32_t most, Accept accept, PageFiller::Put put, sys::WakeUp stop)
    : most_(most), accept_(std::move(accept)), put_(std::move(put)), stop_(std::move(stop)) {}

Result<std::unique_ptr<ReceivingStreams>> ReceivingStreams::start(uint32_t wanted, int listening, Accept accept,
                                                                  PageFiller::Put put) {
  uint32_t most = wanted == 0 ? StreamsChoice::kMost : std::min(wanted, kMostStreams);
  std::unique_ptr<ReceivingStreams> streams(
      new ReceivingStreams(most - 1, std::move(accept), std::move(put), TRY(sys::WakeUp::make())));
  if (most > 1) {
    streams->accepting_ = TRY(sys::start_own_thread([streams = streams.get(), listening] {
      auto ended = streams->accept_lanes(listening);
      if (!ended) streams->gate_.fail(std::move(ended.error()).within("accepting a further connection for memory"));
    }));
  }
  return streams;
}

ReceivingStreams::~ReceivingStreams() { stop(); }

void ReceivingStreams::stop() {
  stop_.set();
  gate_.fail(error(ErrorKind::corrupt, "no further connections for memory"));
  if (accepting_.joinable()) accepting_.join();
  for (const Lane& lane : lanes_) sys::shut_down_stream(lane.connection.fd());
  for (Lane& lane : lanes_) {
    if (lane.thread.joinable()) lane.thread.join();
  }
}

Result<void> ReceivingStreams::accept_lanes(int listening) {
  while (lanes_.size() < most_) {
    pollfd entries[] = {{.fd = stop_.fd(), .events = POLLIN, .revents = 0},
                        {.fd = listening, .events = POLLIN, .revents = 0}};
    TRY(sys::wait_until_ready(entries, -1));
    if (entries[0].revents != 0) return {};
    auto accepted = accept_();
    bool stranger = !accepted && accepted.error().kind == ErrorKind::denied;
    if (!stranger) TRY(receive_by(TRY(std::move(accepted))));
  }
  return {};
}

Result<void> ReceivingStreams::receive_by(transport::Connection accepted) {
  Lane& lane = lanes_.emplace_back(std::move(accepted));
  lane.thread = TRY(sys::start_own_thread([this, &lane] {
    auto ended = receive(lane.connection);
    sys::shut_down_stream(lane.connection.fd());  // so that the other side learns of it
    if (!ended) gate_.fail(std::move(ended.error()).within("a further connection for memory"));
  }));
  return {};
}

Result<void> ReceivingStreams::receive(transport::Connection& connection) {
  uint64_t epoch = 0;
  auto put = [&](pid_t pid, std::span<const sys::AddressRange> ranges, std::span<const std::byte> bytes) {
    return gate_.pass(epoch, [&] { return put_(pid, ranges, bytes); });
  };
  auto nothing_else = [](auto&&...) { return error(ErrorKind::corrupt, "no pages on a connection for pages"); };
  PageReceiver pages(connection, put, nothing_else, nothing_else);
  for (;;) {
    transport::FrameHeader header = TRY(connection.receive_header());
    if (header.type == FrameType::stream_barrier) {
      epoch = TRY(receive_barrier_of(connection, header)).epoch;
    } else if (PageReceiver::takes(header.type)) {
      TRY(pages.receive_pages(header));
    } else {
      return error(ErrorKind::corrupt, "no pages on a connection for pages");
    }
  }
}

Result<void> ReceivingStreams::receive_barrier(transport::Connection& main, transport::FrameHeader header) {
  StreamBarrier barrier = TRY(receive_barrier_of(main, header));
  return gate_.barrier(barrier.frames, barrier.epoch);
}

}  // namespace godwit::address_space
