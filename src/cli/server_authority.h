// Before a machine has a certificate: which cluster is behind an address, verified by the fingerprint in a join token.
//
// One TLS handshake whose certificates are looked at and then dropped; nothing secret is sent. The next connection
// trusts the authority that was found, and nothing else. Source: SSL_get_peer_cert_chain(3), X509_verify(3).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/stream_socket.h"

namespace godwit::cli {

struct ServerAuthority {
  std::string authority_pem;
  std::string node;  // the name in the server's certificate
};

// `fingerprint`: SHA-256 of the authority's certificate, 32 bytes. Errors: denied when the server is of another
// cluster; peer_lost, exhausted as connect_stream.
Result<ServerAuthority> find_server_authority(const std::string& host, uint16_t port, std::string_view fingerprint,
                                              sys::Deadline deadline);

}  // namespace godwit::cli
