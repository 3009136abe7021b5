#include "transport/certificates.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "sys/durable_file.h"
#include "sys/text_file.h"
#include "transport/openssl_handles.h"

namespace godwit::transport {
namespace {

constexpr long kClockSkewSeconds = 3600;
constexpr long kValiditySeconds = 10L * 365 * 24 * 3600;

Error failed(std::string what) { return openssl_error(ErrorKind::failed, std::move(what)); }

Result<KeyHandle> make_key() {
  KeyHandle key(EVP_EC_gen("P-256"));
  if (!key) return failed("making a key");
  return key;
}

template <class Write>
Result<std::string> to_pem(Write write) {
  BioHandle bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return failed("encoding PEM");
  char* data = nullptr;
  long length = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(length));
}

Result<std::string> pem_of(X509* certificate) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

Result<std::string> pem_of(EVP_PKEY* key) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

// An encrypted PEM block is refused; OpenSSL's default would ask at the terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

BioHandle reader_of(std::string_view text) {
  return BioHandle(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<size_t>(text.size(), size_t{1} << 20))));
}

Result<CertificateHandle> parse_certificate(std::string_view pem) {
  CertificateHandle certificate(PEM_read_bio_X509(reader_of(pem).get(), nullptr, no_passphrase, nullptr));
  if (!certificate) return openssl_error(ErrorKind::corrupt, "not a certificate");
  return certificate;
}

Result<KeyHandle> parse_key(std::string_view pem) {
  KeyHandle key(PEM_read_bio_PrivateKey(reader_of(pem).get(), nullptr, no_passphrase, nullptr));
  if (!key) return openssl_error(ErrorKind::corrupt, "not a private key");
  return key;
}

// Adds one extension from its textual form, x509v3_config(5). Only constants come here, never a peer's bytes.
Result<void> add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  Handle<X509_EXTENSION, X509_EXTENSION_free> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) return failed("adding an extension");
  return {};
}

Result<void> add_name(GENERAL_NAMES* names, int type, const std::string& value) {
  Handle<GENERAL_NAME, GENERAL_NAME_free> name(a2i_GENERAL_NAME(nullptr, nullptr, nullptr, type, value.c_str(), 0));
  if (!name) return openssl_error(ErrorKind::corrupt, "'" + value + "' cannot stand in a certificate");
  if (sk_GENERAL_NAME_push(names, name.get()) <= 0) return failed("adding a name");
  (void)name.release();  // the list owns it now
  return {};
}

Result<void> add_alternative_names(X509* certificate, const std::string& node, std::span<const std::string> addresses) {
  NamesHandle names(sk_GENERAL_NAME_new_null());
  if (!names) return failed("making names");
  TRY(add_name(names.get(), GEN_DNS, node));
  for (const std::string& address : addresses) TRY(add_name(names.get(), GEN_IPADD, address));
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) != 1) return failed("adding names");
  return {};
}

Result<void> set_common_name(X509_NAME* name, const std::string& text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.c_str());
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes, -1, -1, 0) != 1) return failed("setting a name");
  return {};
}

// Version, a random serial number, validity, subject and key: what every certificate has.
Result<CertificateHandle> begin_certificate(EVP_PKEY* key, const std::string& subject) {
  CertificateHandle certificate(X509_new());
  if (!certificate) return failed("making a certificate");
  std::array<unsigned char, 16> serial;
  if (RAND_bytes(serial.data(), serial.size()) != 1) return failed("random bytes");
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7f) | 0x40);
  Handle<BIGNUM, BN_free> number(BN_bin2bn(serial.data(), serial.size(), nullptr));
  bool done = number && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
              BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get())) != nullptr &&
              X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kClockSkewSeconds) != nullptr &&
              X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kValiditySeconds) != nullptr &&
              X509_set_pubkey(certificate.get(), key) == 1;
  if (!done) return failed("filling a certificate");
  TRY(set_common_name(X509_get_subject_name(certificate.get()), subject));
  return certificate;
}

struct Authority {
  CertificateHandle certificate;
  std::string certificate_pem;
  KeyHandle key;
};

Result<Authority> load_authority(const std::string& directory) {
  Authority authority;
  authority.certificate_pem = TRY(sys::read_text(directory + "/ca.crt"));
  authority.certificate = TRY(parse_certificate(authority.certificate_pem));
  authority.key = TRY(parse_key(TRY(sys::read_text(directory + "/ca.key"))));
  if (X509_check_private_key(authority.certificate.get(), authority.key.get()) != 1) {
    return openssl_error(ErrorKind::corrupt, directory + ": ca.key does not belong to ca.crt");
  }
  return authority;
}

Result<std::string> sign_key(const Authority& authority, EVP_PKEY* key, const std::string& node,
                             std::span<const std::string> addresses) {
  if (!valid_node_name(node)) return error(ErrorKind::corrupt, "'" + node + "' cannot be a node's name");
  auto certificate = TRY(begin_certificate(key, node));
  X509* issuer = authority.certificate.get();
  if (X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer)) != 1) return failed("setting the issuer");
  TRY(add_extension(certificate.get(), issuer, NID_basic_constraints, "critical,CA:FALSE"));
  TRY(add_extension(certificate.get(), issuer, NID_key_usage, "critical,digitalSignature"));
  TRY(add_extension(certificate.get(), issuer, NID_ext_key_usage, "serverAuth,clientAuth"));
  TRY(add_extension(certificate.get(), issuer, NID_subject_key_identifier, "hash"));
  TRY(add_extension(certificate.get(), issuer, NID_authority_key_identifier, "keyid:always"));
  TRY(add_alternative_names(certificate.get(), node, addresses));
  if (X509_sign(certificate.get(), authority.key.get(), EVP_sha256()) == 0) return failed("signing");
  return pem_of(certificate.get());
}

Result<void> make_private_directory(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code code;
  fs::create_directories(path, code);
  if (!code) fs::permissions(path, fs::perms::owner_all, code);
  if (code) return error(ErrorKind::failed, path + ": " + code.message());
  return {};
}

}  // namespace

TlsFiles tls_files_in(const std::string& directory) {
  return TlsFiles{directory + "/node.crt", directory + "/node.key", directory + "/ca.crt"};
}

bool valid_node_name(std::string_view name) {
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= 63 && name.front() != '-' && std::ranges::all_of(name, fits);
}

Result<void> create_authority(const std::string& directory) {
  TRY(make_private_directory(directory));
  if (std::filesystem::exists(directory + "/ca.key")) {
    return error(ErrorKind::conflict, directory + " has an authority already");
  }
  auto key = TRY(make_key());
  auto certificate = TRY(begin_certificate(key.get(), "godwit cluster authority"));
  X509* self = certificate.get();
  if (X509_set_issuer_name(self, X509_get_subject_name(self)) != 1) return failed("setting the issuer");
  TRY(add_extension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  TRY(add_extension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign"));
  TRY(add_extension(self, self, NID_subject_key_identifier, "hash"));
  if (X509_sign(self, key.get(), EVP_sha256()) == 0) return failed("signing");
  TRY(sys::replace_file(directory + "/ca.crt", TRY(pem_of(self)), 0644));
  return sys::replace_file(directory + "/ca.key", TRY(pem_of(key.get())), 0600);
}

Result<void> issue_node_certificate(const std::string& authority_directory, const std::string& out_directory,
                                    const std::string& node, std::span<const std::string> addresses) {
  auto authority = TRY(load_authority(authority_directory));
  auto key = TRY(make_key());
  auto certificate_pem = TRY(sign_key(authority, key.get(), node, addresses));
  return install_node_certificate(out_directory, TRY(pem_of(key.get())), certificate_pem, authority.certificate_pem);
}

Result<KeyAndRequest> make_request(const std::string& node) {
  auto key = TRY(make_key());
  RequestHandle request(X509_REQ_new());
  if (!request || X509_REQ_set_pubkey(request.get(), key.get()) != 1) return failed("making a request");
  TRY(set_common_name(X509_REQ_get_subject_name(request.get()), node));
  if (X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) return failed("signing a request");
  KeyAndRequest made;
  made.key_pem = TRY(pem_of(key.get()));
  made.request_pem = TRY(to_pem([&](BIO* bio) { return PEM_write_bio_X509_REQ(bio, request.get()); }));
  return made;
}

Result<std::string> sign_request(const std::string& authority_directory, std::string_view request_pem,
                                 const std::string& node, std::span<const std::string> addresses) {
  RequestHandle request(PEM_read_bio_X509_REQ(reader_of(request_pem).get(), nullptr, no_passphrase, nullptr));
  if (!request) return openssl_error(ErrorKind::corrupt, "not a certificate request");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    return openssl_error(ErrorKind::corrupt, "the certificate request is not signed by its own key");
  }
  if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_bits(key) != 256) {
    return error(ErrorKind::denied, "only keys on the curve P-256 are certified");
  }
  return sign_key(TRY(load_authority(authority_directory)), key, node, addresses);
}

Result<void> install_node_certificate(const std::string& out_directory, std::string_view key_pem,
                                      std::string_view certificate_pem, std::string_view authority_pem) {
  auto certificate = TRY(parse_certificate(certificate_pem));
  auto authority = TRY(parse_certificate(authority_pem));
  auto key = TRY(parse_key(key_pem));
  if (X509_check_private_key(certificate.get(), key.get()) != 1 ||
      X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) != 1) {
    return openssl_error(ErrorKind::corrupt, "key, certificate and authority do not belong together");
  }
  TRY(make_private_directory(out_directory));
  TlsFiles files = tls_files_in(out_directory);
  TRY(sys::replace_file(files.authority, TRY(pem_of(authority.get())), 0644));
  TRY(sys::replace_file(files.key, TRY(pem_of(key.get())), 0600));
  return sys::replace_file(files.certificate, TRY(pem_of(certificate.get())), 0644);
}

Result<std::string> fingerprint(std::string_view certificate_pem) {
  auto certificate = TRY(parse_certificate(certificate_pem));
  std::string digest(32, '\0');
  unsigned length = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()), &length) != 1) {
    return failed("digest");
  }
  return digest;
}

}  // namespace godwit::transport
