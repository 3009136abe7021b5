#include "transport/connection.h"

#include <google/protobuf/message_lite.h>
#include <openssl/crypto.h>

#include <algorithm>

namespace godwit::transport {
namespace {

constexpr size_t kGatherBytes = size_t{16} << 10;  // one TLS record
constexpr size_t kFirstPayloadBytes = size_t{256} << 10;
// The listener's answer to the right token.
constexpr std::byte kWelcome{0x67};

Result<void> check_token(std::string_view token) {
  if (token.size() == kTokenBytes) return {};
  return error(ErrorKind::corrupt, "a migration's token has " + std::to_string(kTokenBytes) + " bytes");
}

Result<void> read_exactly(TlsStream& stream, std::span<std::byte> into) {
  while (!into.empty()) into = into.subspan(TRY(stream.read_some(into, std::chrono::microseconds(0))));
  return {};
}

}  // namespace

Connection::Connection(std::unique_ptr<TlsStream> stream) : stream_(std::move(stream)) {
  gathered_.reserve(kGatherBytes);
  payload_.resize(kFirstPayloadBytes);  // touched now, not in the freeze
}

Result<Connection> Connection::connect(const std::string& host, uint16_t port, const TlsFiles& files,
                                       const std::string& expected_node, std::string_view token,
                                       sys::Deadline deadline) {
  TRY(check_token(token));
  auto socket = TRY(sys::connect_stream(host, port, deadline));
  auto stream = TRY(TlsStream::establish(std::move(socket), TlsStream::Role::client, files, expected_node, deadline));
  TRY(stream->write(std::as_bytes(std::span(token))));
  TRY(stream->flush());
  std::byte answer{};
  auto answered = read_exactly(*stream, std::span(&answer, 1));
  if (!answered && answered.error().kind == ErrorKind::peer_lost) {
    return error(ErrorKind::denied, "node '" + expected_node + "' turned the connection away");
  }
  TRY(std::move(answered));
  if (answer != kWelcome) return error(ErrorKind::corrupt, "node '" + expected_node + "' speaks another protocol");
  stream->set_deadline(sys::Deadline::max());
  return Connection(std::move(stream));
}

Result<void> Connection::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    size_t part = std::min(bytes.size(), kGatherBytes - gathered_.size());
    gathered_.insert(gathered_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(part));
    bytes = bytes.subspan(part);
    if (gathered_.size() == kGatherBytes) TRY(write_gathered());
  }
  return {};
}

Result<void> Connection::write_gathered() {
  auto written = stream_->write(gathered_);
  gathered_.clear();
  return written;
}

Result<void> Connection::send(FrameType type, const google::protobuf::MessageLite& message) {
  std::string bytes;
  if (message.ByteSizeLong() > longest_payload(type) || !message.SerializeToString(&bytes)) {
    return error(ErrorKind::exhausted, "a message is too long to be sent");
  }
  return send(type, std::as_bytes(std::span(bytes)));
}

Result<void> Connection::send(FrameType type, std::span<const std::byte> payload) { return send(type, {}, payload); }

Result<void> Connection::send(FrameType type, std::span<const std::byte> head, std::span<const std::byte> body) {
  size_t length = head.size() + body.size();
  if (length > longest_payload(type)) return error(ErrorKind::exhausted, "a frame is too long to be sent");
  std::byte header[kFrameHeaderBytes];
  encode_header({type, static_cast<uint32_t>(length)}, header);
  TRY(append(header));
  TRY(append(head));
  if (body.size() < kGatherBytes) return append(body);
  TRY(write_gathered());
  return stream_->write(body);
}

Result<void> Connection::flush() {
  if (!gathered_.empty()) TRY(write_gathered());
  return stream_->flush();
}

Result<FrameHeader> Connection::receive_header(std::chrono::microseconds spin) {
  CHECK(payload_left_ == 0);
  if (read_broken_) return error(ErrorKind::peer_lost, "the connection failed before");
  TRY(flush());
  while (header_have_ < kFrameHeaderBytes) {
    header_have_ += TRY(stream_->read_some(std::span(header_).subspan(header_have_), spin));
  }
  header_have_ = 0;
  auto header = decode_header(header_);
  read_broken_ = !header;
  if (header) payload_left_ = header->length;
  return header;
}

Result<void> Connection::receive_bytes(std::span<std::byte> into) {
  if (into.size() > payload_left_) return error(ErrorKind::corrupt, "a frame is shorter than its content");
  payload_left_ -= static_cast<uint32_t>(into.size());
  auto result = read_exactly(*stream_, into);
  if (!result) {
    read_broken_ = true;
    payload_left_ = 0;
  }
  return result;
}

Result<Frame> Connection::receive_payload(FrameHeader header) {
  size_t left = payload_left_;
  if (payload_.size() < left) payload_.resize(left);
  auto payload = std::span(payload_).first(left);
  TRY(receive_bytes(payload));
  return Frame{header.type, payload};
}

Result<Frame> Connection::receive() { return spin_receive(std::chrono::microseconds(0)); }

Result<Frame> Connection::spin_receive(std::chrono::microseconds spin) {
  return receive_payload(TRY(receive_header(spin)));
}

Result<bool> Connection::has_input() { return stream_->has_input(); }

Result<Listener> Listener::bind(const std::string& host) { return Listener(TRY(sys::listen_stream(host, 0))); }

namespace {

// One caller: handshake and token. It may take no more of the deadline than this, so that a silent stranger does not
// use it up.
constexpr std::chrono::seconds kPatience{5};

Result<std::unique_ptr<TlsStream>> admit(UniqueFd socket, const TlsFiles& files, const std::string& expected_node,
                                         std::string_view token, sys::Deadline deadline) {
  auto stream = TRY(TlsStream::establish(std::move(socket), TlsStream::Role::server, files, expected_node,
                                         std::min(deadline, std::chrono::steady_clock::now() + kPatience)));
  std::byte presented[kTokenBytes] = {};
  TRY(read_exactly(*stream, presented));
  if (CRYPTO_memcmp(presented, token.data(), kTokenBytes) != 0) {
    stream->shut_down();
    return error(ErrorKind::denied, "node '" + expected_node + "' does not know this migration's token");
  }
  TRY(stream->write(std::span(&kWelcome, 1)));
  TRY(stream->flush());
  stream->set_deadline(sys::Deadline::max());
  return stream;
}

}  // namespace

Result<Connection> Listener::accept(const TlsFiles& files, const std::string& expected_node, std::string_view token,
                                    sys::Deadline deadline) {
  TRY(check_token(token));
  std::string refused;
  for (;;) {
    auto socket = sys::accept_stream(socket_.fd.get(), deadline);
    if (!socket) {
      if (socket.error().kind == ErrorKind::exhausted && !refused.empty()) return error(ErrorKind::denied, refused);
      return std::move(socket.error()).within("waiting for node '" + expected_node + "'");
    }
    auto stream = admit(std::move(*socket), files, expected_node, token, deadline);
    if (stream) return Connection(std::move(*stream));
    refused = stream.error().message();
  }
}

}  // namespace godwit::transport
