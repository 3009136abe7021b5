// ReceivingStreams: further connections that memory comes by, beside the main one; see sending_streams.h.
//
// One thread accepts them, as many as were agreed at most; each has a thread of its own that receives, decrypts,
// decompresses and puts pages, several at once. A connection that fails fails the next barrier.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <thread>

#include "address_space/page_filler.h"
#include "address_space/stream_gate.h"
#include "base/result.h"
#include "sys/wake_up.h"
#include "transport/connection.h"

namespace godwit::address_space {

class ReceivingStreams {
 public:
  // Called when `listening` is readable; nobody else may accept until stop().
  using Accept = std::function<Result<transport::Connection>()>;
  // `wanted` as in SendingStreams. `put` is called by several threads at once, between barriers alone.
  static Result<std::unique_ptr<ReceivingStreams>> start(uint32_t wanted, int listening, Accept accept,
                                                         PageFiller::Put put);
  ~ReceivingStreams();
  ReceivingStreams(const ReceivingStreams&) = delete;
  ReceivingStreams& operator=(const ReceivingStreams&) = delete;

  // The main connection's frame stream_barrier, whose header has been read. Errors: those of the further connections.
  Result<void> receive_barrier(transport::Connection& main, transport::FrameHeader header);
  // Before any other frame than pages is taken. Errors: corrupt.
  Result<void> expect_barrier() { return gate_.expect_closed(); }
  // From now on they go elsewhere. Requires: closed by a barrier.
  void put_by(PageFiller::Put put) { put_ = std::move(put); }
  // Ends them; barriers are refused from then on.
  void stop();

 private:
  struct Lane {
    explicit Lane(transport::Connection accepted) : connection(std::move(accepted)) {}
    transport::Connection connection;
    std::thread thread;
  };
  ReceivingStreams(uint32_t most, Accept accept, PageFiller::Put put, sys::WakeUp stop);
  Result<void> accept_lanes(int listening);
  Result<void> receive_by(transport::Connection accepted);
  Result<void> receive(transport::Connection& connection);

  uint32_t most_;  // without the main one
  Accept accept_;
  PageFiller::Put put_;
  StreamGate gate_;
  sys::WakeUp stop_;
  std::list<Lane> lanes_;  // of the accepting thread, until it has ended
  std::thread accepting_;
};

}  // namespace godwit::address_space
