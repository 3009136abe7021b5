// Connection: the frames between the two workers of a migration, over TLS 1.3.
//
// Small frames gather until flush(), a bulk body is encrypted from where it lies. Receiving flushes first. One thread.
// A failed send, or a failed receive within a payload, leaves the connection of no further use; nothing else is
// affected.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/stream_socket.h"
#include "transport/certificates.h"
#include "transport/frame.h"
#include "transport/tls_stream.h"

namespace google::protobuf {
class MessageLite;
}

namespace godwit::transport {

// A migration's token: the client's first bytes on the connection, known to both sides from their daemons.
constexpr size_t kTokenBytes = 32;

class Connection {
 public:
  // Returns when the other side has accepted; the deadline is for that alone. From then on a node that is gone is
  // noticed by TCP (see sys/stream_socket.h), and set_deadline() and set_patience() say what else is to end a wait.
  // Requires: a token of kTokenBytes.
  // Errors: peer_lost, exhausted (deadline), denied (not that node, or it refuses us).
  static Result<Connection> connect(const std::string& host, uint16_t port, const TlsFiles& files,
                                    const std::string& expected_node, std::string_view token, sys::Deadline deadline);

  // Errors of sending: peer_lost, exhausted (deadline).
  // Requires: a message of at most kMaxMessageBytes.
  Result<void> send(FrameType type, const google::protobuf::MessageLite& message);
  Result<void> send(FrameType type, std::span<const std::byte> payload = {});
  // One frame with `head` and then `body` as its payload.
  Result<void> send(FrameType type, std::span<const std::byte> head, std::span<const std::byte> body);
  Result<void> flush();

  // The next frame, whole. Errors: peer_lost, corrupt, exhausted (deadline; between frames it may be called again).
  Result<Frame> receive();
  // The same, polling for at most `spin` before it blocks: for use while the program is frozen.
  Result<Frame> spin_receive(std::chrono::microseconds spin);
  // The next frame's header alone: the payload, all of it, must be taken with receive_bytes.
  Result<FrameHeader> receive_header(std::chrono::microseconds spin = std::chrono::microseconds(0));
  // Fills `into` with the next bytes of the payload.
  Result<void> receive_bytes(std::span<std::byte> into);
  // The rest of a payload whose header was received, into the connection's own buffer.
  Result<Frame> receive_payload(FrameHeader header);
  // A frame, a part of one, or the end of the connection is there. Look here before polling fd().
  Result<bool> has_input();

  void set_deadline(sys::Deadline deadline) { stream_->set_deadline(deadline); }
  // How long a single wait for the other side may take.
  void set_patience(std::chrono::nanoseconds patience) { stream_->set_patience(patience); }
  void be_patient() { stream_->set_patience(TlsStream::kForever); }
  uint64_t bytes_sent() const { return stream_->bytes_sent(); }  // on the wire, TLS included
  uint64_t bytes_received() const { return stream_->bytes_received(); }
  // Ends the connection in both directions; what is not flushed is lost.
  void shut_down() { stream_->shut_down(); }
  int fd() const { return stream_->fd(); }

 private:
  friend class Listener;
  explicit Connection(std::unique_ptr<TlsStream> stream);
  Result<void> append(std::span<const std::byte> bytes);
  Result<void> write_gathered();

  std::unique_ptr<TlsStream> stream_;
  std::vector<std::byte> gathered_;  // frames not yet encrypted; capacity kGatherBytes
  std::vector<std::byte> payload_;   // of the last frame received
  std::byte header_[kFrameHeaderBytes] = {};
  size_t header_have_ = 0;     // bytes of a header received so far
  uint32_t payload_left_ = 0;  // of the current frame, not yet taken
  bool read_broken_ = false;
};

class Listener {
 public:
  // Binds any free port of `host`.
  static Result<Listener> bind(const std::string& host);
  uint16_t port() const { return socket_.port; }
  int fd() const { return socket_.fd.get(); }  // readable when somebody comes
  // The connection of `expected_node` that knows the token. Whoever else comes is turned away, and waiting goes on.
  // Errors: exhausted at the deadline; denied when somebody was turned away meanwhile (the last reason is told).
  Result<Connection> accept(const TlsFiles& files, const std::string& expected_node, std::string_view token,
                            sys::Deadline deadline);

 private:
  explicit Listener(sys::ListeningSocket socket) : socket_(std::move(socket)) {}
  sys::ListeningSocket socket_;
};

}  // namespace godwit::transport
