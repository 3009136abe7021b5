// TLS 1.3 with mutual authentication over one TCP socket: a byte stream with a deadline.
//
// OpenSSL meets the socket in a BIO of ours that gathers written records, so that one system call sends many, and reads
// as much as is there. AES-128-GCM. Each side's certificate must be signed by the cluster's authority and name the node
// expected. One thread. After an error in the middle of a write or read the stream is of no further use. Source: RFC
// 8446; BIO_meth_new(3), SSL_set1_host(3), SSL_CTX_set_read_ahead(3).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/stream_socket.h"
#include "transport/certificates.h"
#include "transport/openssl_handles.h"

namespace godwit::transport {

class TlsStream {
 public:
  enum class Role { client, server };

  // Takes a connected socket through the handshake. Errors: denied when the other side is not `expected_node` of this
  // cluster, or refuses us (a client may learn of that with its first read only).
  static Result<std::unique_ptr<TlsStream>> establish(UniqueFd socket, Role role, const TlsFiles& files,
                                                      const std::string& expected_node, sys::Deadline deadline);

  static constexpr std::chrono::nanoseconds kForever = std::chrono::nanoseconds::max();

  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Encrypts all of `bytes`; the last records may wait for flush().
  Result<void> write(std::span<const std::byte> bytes);
  Result<void> flush();
  // Fills from the front, at least one byte. Errors: peer_lost at the end of the stream; exhausted at the deadline,
  // after which it may be called again.
  Result<size_t> read_some(std::span<std::byte> into, std::chrono::microseconds spin);
  Result<bool> has_input();
  // Tells the other side that nothing more will come, and ends the connection. What is not flushed is lost.
  void shut_down();

  void set_deadline(sys::Deadline deadline) { deadline_ = deadline; }
  // How long a single wait for the other side may take; the deadline holds as well.
  void set_patience(std::chrono::nanoseconds patience) { patience_ = patience; }
  uint64_t bytes_sent() const { return bytes_sent_; }  // on the wire, TLS included
  uint64_t bytes_received() const { return bytes_received_; }
  int fd() const { return socket_.get(); }

 private:
  friend struct StreamBio;
  TlsStream(UniqueFd socket, sys::Deadline deadline);
  Result<void> handshake(Role role, const TlsFiles& files, const std::string& expected_node);
  Result<void> drain();
  sys::Deadline end_of_wait() const;
  // What went wrong in the BIO, or else in OpenSSL.
  Error take_failure(int result, const char* what);

  UniqueFd socket_;
  sys::Deadline deadline_;
  std::chrono::nanoseconds patience_ = kForever;
  std::chrono::microseconds spin_{0};
  std::unique_ptr<std::byte[]> gathered_;  // records not yet sent
  size_t gathered_bytes_ = 0;
  std::optional<Error> failure_;  // of the socket, noted inside OpenSSL's callback
  uint64_t bytes_sent_ = 0;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_under_key_ = 0;
  bool write_broken_ = false;
  ContextHandle context_;
  SslHandle ssl_;
};

}  // namespace godwit::transport
