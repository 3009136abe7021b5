#include "transport/tls_stream.h"

#include <algorithm>
#include <cstring>

namespace godwit::transport {
namespace {

constexpr size_t kGatherBytes = size_t{128} << 10;
constexpr size_t kReadBufferBytes = size_t{64} << 10;
// AES-GCM may protect 2^24.5 records with one key (RFC 8446, section 5.5): renewed long before, after 2^22 full ones.
constexpr uint64_t kBytesPerKey = uint64_t{64} << 30;

Result<ContextHandle> make_context(const TlsFiles& files) {
  ContextHandle context(SSL_CTX_new(TLS_method()));
  SSL_CTX* c = context.get();
  if (c == nullptr || SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") != 1 || SSL_CTX_set_num_tickets(c, 0) != 1) {
    return openssl_error(ErrorKind::failed, "preparing TLS");
  }
  if (SSL_CTX_use_certificate_file(c, files.certificate.c_str(), SSL_FILETYPE_PEM) != 1) {
    return openssl_error(ErrorKind::failed, files.certificate);
  }
  if (SSL_CTX_use_PrivateKey_file(c, files.key.c_str(), SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(c) != 1) {
    return openssl_error(ErrorKind::failed, files.key);
  }
  if (SSL_CTX_load_verify_file(c, files.authority.c_str()) != 1) {
    return openssl_error(ErrorKind::failed, files.authority);
  }
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(c, 1);
  SSL_CTX_set_default_read_buffer_len(c, kReadBufferBytes);
  return context;
}

}  // namespace

// OpenSSL's view of the socket. A failure is kept in the stream, where it has its kind and words.
struct StreamBio {
  static TlsStream& stream_of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int write(BIO* bio, const char* data, size_t length, size_t* written) {
    TlsStream& stream = stream_of(bio);
    *written = 0;
    if (stream.gathered_bytes_ == kGatherBytes) {
      if (auto drained = stream.drain(); !drained) {
        stream.failure_ = std::move(drained.error());
        return 0;
      }
    }
    *written = std::min(length, kGatherBytes - stream.gathered_bytes_);
    std::memcpy(stream.gathered_.get() + stream.gathered_bytes_, data, *written);
    stream.gathered_bytes_ += *written;
    return 1;
  }

  static int read(BIO* bio, char* data, size_t length, size_t* count) {
    TlsStream& stream = stream_of(bio);
    *count = 0;
    BIO_clear_retry_flags(bio);
    std::span into(reinterpret_cast<std::byte*>(data), length);
    auto received = sys::receive_some(stream.socket_.get(), into, stream.end_of_wait(), stream.spin_);
    if (!received) {
      if (received.error().kind == ErrorKind::exhausted) BIO_set_retry_read(bio);
      stream.failure_ = std::move(received.error());
      return 0;
    }
    if (*received == 0) {
      stream.failure_ = error(ErrorKind::peer_lost, "the other side ended the connection");
      return 0;
    }
    *count = *received;
    stream.bytes_received_ += *received;
    return 1;
  }

  static long control(BIO* bio, int command, long, void*) {
    if (command != BIO_CTRL_FLUSH) return 0;
    TlsStream& stream = stream_of(bio);  // asked for by the handshake
    auto drained = stream.drain();
    if (!drained) stream.failure_ = std::move(drained.error());
    return drained ? 1 : 0;
  }

  static BIO_METHOD* make_method() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "godwit stream");
    CHECK(method != nullptr);
    BIO_meth_set_write_ex(method, write);
    BIO_meth_set_read_ex(method, read);
    BIO_meth_set_ctrl(method, control);
    return method;
  }

  static BIO* make(TlsStream& stream) {
    static BIO_METHOD* const method = make_method();
    BIO* bio = BIO_new(method);
    CHECK(bio != nullptr);
    BIO_set_data(bio, &stream);
    BIO_set_init(bio, 1);
    return bio;
  }
};

TlsStream::TlsStream(UniqueFd socket, sys::Deadline deadline)
    : socket_(std::move(socket)), deadline_(deadline), gathered_(std::make_unique<std::byte[]>(kGatherBytes)) {}

Result<std::unique_ptr<TlsStream>> TlsStream::establish(UniqueFd socket, Role role, const TlsFiles& files,
                                                        const std::string& expected_node, sys::Deadline deadline) {
  if (!valid_node_name(expected_node)) {
    return error(ErrorKind::corrupt, "'" + expected_node + "' cannot be a node's name");
  }
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(socket), deadline));
  TRY(stream->handshake(role, files, expected_node));
  return stream;
}

Result<void> TlsStream::handshake(Role role, const TlsFiles& files, const std::string& expected_node) {
  context_ = TRY(make_context(files));
  ssl_.reset(SSL_new(context_.get()));
  SSL* ssl = ssl_.get();
  if (ssl == nullptr || SSL_set1_host(ssl, expected_node.c_str()) != 1) {
    return openssl_error(ErrorKind::failed, "preparing TLS");
  }
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS);
  BIO* bio = StreamBio::make(*this);
  SSL_set_bio(ssl, bio, bio);  // owns it now
  ERR_clear_error();
  int result = role == Role::client ? SSL_connect(ssl) : SSL_accept(ssl);
  if (result == 1) return flush();
  (void)drain();  // the alert that tells the other side why; its loss changes nothing
  long verdict = SSL_get_verify_result(ssl);
  if (verdict != X509_V_OK) {
    return openssl_error(ErrorKind::denied, "the other side is not node '" + expected_node +
                                                "' of this cluster: " + X509_verify_cert_error_string(verdict));
  }
  return take_failure(result, "TLS handshake");
}

Error TlsStream::take_failure(int result, const char* what) {
  if (failure_) {
    ERR_clear_error();
    Error failure = *std::exchange(failure_, std::nullopt);
    return std::move(failure).within(what);
  }
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) {
    return error(ErrorKind::peer_lost, "the other side closed the connection");
  }
  int reason = ERR_GET_REASON(ERR_peek_error());
  bool alert = reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
  return openssl_error(alert ? ErrorKind::denied : ErrorKind::corrupt, what);
}

sys::Deadline TlsStream::end_of_wait() const {
  return patience_ == kForever ? deadline_ : std::min(deadline_, std::chrono::steady_clock::now() + patience_);
}

Result<void> TlsStream::drain() {
  size_t length = std::exchange(gathered_bytes_, 0);
  if (length == 0) return {};
  auto sent = sys::send_all(socket_.get(), std::span(gathered_.get(), length), end_of_wait());
  write_broken_ = !sent;
  if (sent) bytes_sent_ += length;
  return sent;
}

Result<void> TlsStream::write(std::span<const std::byte> bytes) {
  if (write_broken_) return error(ErrorKind::peer_lost, "the connection failed before");
  if (bytes.empty()) return {};
  bytes_under_key_ += bytes.size();
  if (bytes_under_key_ > kBytesPerKey) {
    bytes_under_key_ = 0;
    if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1) {
      return openssl_error(ErrorKind::failed, "renewing the key");
    }
  }
  size_t written = 0;
  ERR_clear_error();
  int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
  if (result == 1) return {};
  write_broken_ = true;
  return take_failure(result, "sending");
}

Result<void> TlsStream::flush() {
  if (write_broken_) return error(ErrorKind::peer_lost, "the connection failed before");
  return drain().within("sending");
}

Result<size_t> TlsStream::read_some(std::span<std::byte> into, std::chrono::microseconds spin) {
  spin_ = spin;
  size_t count = 0;
  ERR_clear_error();
  int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &count);
  if (result == 1) return count;
  return take_failure(result, "receiving");
}

Result<bool> TlsStream::has_input() {
  if (SSL_has_pending(ssl_.get()) == 1) return true;
  return sys::readable_now(socket_.get());
}

void TlsStream::shut_down() {
  if (!write_broken_ && SSL_is_init_finished(ssl_.get())) {
    gathered_bytes_ = 0;
    deadline_ = std::min(deadline_, std::chrono::steady_clock::now() + std::chrono::milliseconds(100));
    if (SSL_shutdown(ssl_.get()) >= 0) (void)drain();  // a courtesy: the end of the connection says the same
    ERR_clear_error();
  }
  write_broken_ = true;
  sys::shut_down_stream(socket_.get());
}

}  // namespace godwit::transport
