#include "cli/server_authority.h"

#include <algorithm>

#include "sys/standard_stream.h"
#include "transport/certificates.h"
#include "transport/openssl_handles.h"

namespace godwit::cli {

using transport::CertificateHandle;
using transport::openssl_error;

namespace {

Result<std::string> pem_of(X509* certificate) {
  transport::BioHandle memory(BIO_new(BIO_s_mem()));
  if (!memory || PEM_write_bio_X509(memory.get(), certificate) != 1)
    return openssl_error(ErrorKind::failed, "writing a certificate");
  char* text = nullptr;
  long length = BIO_get_mem_data(memory.get(), &text);
  return std::string(text, static_cast<size_t>(length));
}

// The first DNS name of its subjectAltName, which is the node's.
Result<std::string> node_of(X509* certificate) {
  transport::NamesHandle names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int at = 0; names && at < sk_GENERAL_NAME_num(names.get()); ++at) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), at);
    if (name->type != GEN_DNS) continue;
    std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                     static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    if (transport::valid_node_name(text)) return text;
  }
  return error(ErrorKind::denied, "the server's certificate names no node");
}

Result<void> shake_hands(SSL* ssl, int fd, sys::Deadline deadline) {
  for (;;) {
    int done = SSL_connect(ssl);
    if (done == 1) return {};
    int reason = SSL_get_error(ssl, done);
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE)
      return openssl_error(ErrorKind::peer_lost, "no TLS handshake");
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry{
        .fd = fd, .events = static_cast<short>(reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT), .revents = 0};
    if (left.count() <= 0 || !TRY(sys::wait_until_ready({&entry, 1}, static_cast<int>(left.count()))))
      return error(ErrorKind::exhausted, "the server does not answer");
  }
}

// The certificate of the chain with this fingerprint, as PEM.
Result<std::string> authority_in(STACK_OF(X509) * chain, std::string_view fingerprint) {
  for (int at = 0; chain != nullptr && at < sk_X509_num(chain); ++at) {
    std::string pem = TRY(pem_of(sk_X509_value(chain, at)));
    if (TRY(transport::fingerprint(pem)) == fingerprint) return pem;
  }
  return error(ErrorKind::denied, "the server does not belong to the cluster that made this token");
}

}  // namespace

Result<ServerAuthority> find_server_authority(const std::string& host, uint16_t port, std::string_view fingerprint,
                                              sys::Deadline deadline) {
  UniqueFd socket = TRY(sys::connect_stream(host, port, deadline));
  transport::ContextHandle context(SSL_CTX_new(TLS_client_method()));
  if (!context) return openssl_error(ErrorKind::failed, "SSL_CTX_new");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);  // verified below, by fingerprint
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  static constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), kHttp2, sizeof kHttp2);
  transport::SslHandle ssl(SSL_new(context.get()));
  if (!ssl || SSL_set_fd(ssl.get(), socket.get()) != 1) return openssl_error(ErrorKind::failed, "SSL_new");
  TRY(shake_hands(ssl.get(), socket.get(), deadline));

  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl.get());
  std::string authority_pem = TRY(authority_in(chain, fingerprint));
  transport::BioHandle memory(BIO_new_mem_buf(authority_pem.data(), static_cast<int>(authority_pem.size())));
  CertificateHandle authority(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
  X509* leaf = sk_X509_value(chain, 0);
  if (!authority || X509_verify(leaf, X509_get0_pubkey(authority.get())) != 1)
    return openssl_error(ErrorKind::denied, "the server's certificate is not of the cluster that made this token");
  return ServerAuthority{.authority_pem = std::move(authority_pem), .node = TRY(node_of(leaf))};
}

}  // namespace godwit::cli
