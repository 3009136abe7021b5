// SendingStreams: further connections that memory travels by while the program runs, beside the main one.
//
// Each has a thread of its own that compresses and encrypts what it takes; chunks wait in one short queue. Between
// order() and the next load nothing is on its way there that is not in place before what follows on the main
// connection: both sides count. All functions are for the owner's thread. A connection that fails fails the next load.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "address_space/chunk_sender.h"
#include "address_space/streams_choice.h"
#include "base/result.h"
#include "transport/connection.h"

namespace godwit::address_space {

// What a stream_barrier frame says. On the main connection: `frames` went by the others so far and must be in place
// before what follows; those of `epoch` may be put from now on, when it is a new one. On another: the epoch of the
// frames that follow.
struct StreamBarrier {
  uint64_t frames;
  uint64_t epoch;
};

class SendingStreams {
 public:
  using Connect = std::function<Result<transport::Connection>()>;
  // `wanted`: connections in all, `main` among them; 0: as many as turn out to be of use. `connect` is called by
  // threads of their own.
  SendingStreams(transport::Connection& main, uint32_t wanted, Connect connect);
  // Ends them; what is still under way is lost.
  ~SendingStreams();
  SendingStreams(const SendingStreams&) = delete;
  SendingStreams& operator=(const SendingStreams&) = delete;

  struct Load {
    pid_t pid;
    PageClass pages;
    std::span<const sys::AddressRange> ranges;
    size_t size;  // bytes, of `buffer` from its front
  };
  // Takes what is in `buffer`, and gives another of that size for it. False: all are busy, the caller is to send it by
  // the main connection. Requires: a buffer of kChunkBytes.
  Result<bool> take(const Load& load, std::vector<std::byte>& buffer);
  // Returns when all that were begun are made: before a freeze, which their handshakes would lengthen.
  Result<void> await_made();
  // What was taken so far is in place before whatever is sent on the main connection from now on.
  Result<void> order();
  // Connections that are used, the main one among them.
  uint32_t streams() const { return used_ + 1; }
  uint64_t bytes_sent() const;  // on the wire, without the main connection
  CompressedBytes compressed() const;

 private:
  struct Taken {
    pid_t pid;
    PageClass pages;
    std::vector<sys::AddressRange> ranges;
    std::vector<std::byte> buffer;
    size_t size;
    uint64_t epoch;
  };
  struct Lane {
    std::thread thread;
    int socket = -1;  // while it is connected
    uint64_t bytes_sent = 0;
    CompressedBytes compressed;
    std::chrono::nanoseconds busy{0};  // processor time
  };
  Result<void> use(uint32_t lanes);
  void run(Lane& lane, uint32_t number);
  Result<void> serve(Lane& lane, uint32_t number);
  Result<void> send_loads(Lane& lane, uint32_t number, transport::Connection& connection);
  std::optional<Taken> next(uint32_t number);
  Result<void> choose(size_t bytes);
  double busy_seconds() const;

  transport::Connection& main_;
  Connect connect_;
  uint32_t wanted_;
  uint64_t epoch_ = 0;
  uint64_t frames_ = 0;  // taken
  bool open_ = false;    // loads may be on their way
  StreamsChoice choice_;
  struct Begin {
    std::chrono::steady_clock::time_point at;
    double busy_seconds = 0, idle_seconds = 0;
    uint64_t bytes = 0;
  };
  std::optional<Begin> begin_;  // of the interval that is measured

  mutable std::mutex mutex_;  // of all below, and of what lanes hold
  std::condition_variable changed_;
  std::list<Lane> lanes_;
  uint32_t used_ = 0;  // of the lanes, the first so many
  std::deque<Taken> queue_;
  std::vector<std::vector<std::byte>> free_;
  std::optional<Error> failure_;
  bool over_ = false;
};

}  // namespace godwit::address_space
