// The cluster's authority and its nodes' certificates (X.509 version 3, EC P-256, SHA-256).
//
// A directory holds ca.crt and, where the authority itself lives, ca.key; a node's own are node.crt and node.key. A
// node's certificate names it in subjectAltName (its node name as a DNS name, its addresses as IP addresses) and serves
// both as client and as server. Keys are readable by their owner only. Files are replaced whole: a failure leaves the
// old ones. Source: RFC 5280; OpenSSL 3.0 X509V3_EXT_add1_i2d(3), X509_sign(3), X509_REQ_verify(3).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::transport {

struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string authority;
};

// ca.crt, node.crt and node.key of `directory`.
TlsFiles tls_files_in(const std::string& directory);

// Letters, digits, '-' and '_', 1 to 63 of them, not '-' first: what a node may be called.
bool valid_node_name(std::string_view name);

// Makes `directory` (mode 0700) with ca.crt and ca.key, valid for ten years.
// Errors: conflict when an authority is there already.
Result<void> create_authority(const std::string& directory);

// Writes node.crt, node.key and a copy of ca.crt to `out_directory` (made, mode 0700), signed by the authority of
// `authority_directory`. `addresses`: IPv4 or IPv6 in text form.
Result<void> issue_node_certificate(const std::string& authority_directory, const std::string& out_directory,
                                    const std::string& node, std::span<const std::string> addresses);

// A fresh key and a request to have it certified, both PEM: what a joining node makes. The key never leaves it.
struct KeyAndRequest {
  std::string key_pem;
  std::string request_pem;
};
Result<KeyAndRequest> make_request(const std::string& node);

// The certificate (PEM) for the key of `request_pem`. Names and addresses are the caller's: the request's own are not
// looked at. Errors: corrupt when the request is not one or is not signed by its own key.
Result<std::string> sign_request(const std::string& authority_directory, std::string_view request_pem,
                                 const std::string& node, std::span<const std::string> addresses);

// Installs what a joining node received, with the key it made, as node.crt, node.key and ca.crt.
// Errors: corrupt when the three do not belong together.
Result<void> install_node_certificate(const std::string& out_directory, std::string_view key_pem,
                                      std::string_view certificate_pem, std::string_view authority_pem);

// SHA-256 of a certificate's DER form, 32 bytes.
Result<std::string> fingerprint(std::string_view certificate_pem);

}  // namespace godwit::transport
