#include "transport/join_token.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "sys/durable_file.h"
#include "sys/text_file.h"
#include "transport/openssl_handles.h"

namespace godwit::transport {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSecretBytes = 32;
constexpr size_t kFingerprintBytes = 32;
constexpr size_t kCheckBytes = 2;
constexpr size_t kTokenBytes = kSecretBytes + kFingerprintBytes + kCheckBytes;  // a multiple of 3: no padding
constexpr size_t kTokenLength = kTokenBytes / 3 * 4;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string sha256(std::string_view bytes) {
  std::string digest(32, '\0');
  CHECK(EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr, EVP_sha256(),
                   nullptr) == 1);
  return digest;
}

void translate(std::string& text, std::string_view from, std::string_view to) {
  for (size_t i = 0; i < from.size(); ++i) std::ranges::replace(text, from[i], to[i]);
}

std::string file_for(const std::string& directory, std::string_view secret) {
  std::string path = directory + "/";
  for (unsigned char byte : sha256(secret)) path += fmt::format("{:02x}", byte);
  return path;
}

int64_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

// A file that does not hold a time counts as expired.
bool expired(const std::string& path, WallTime now) {
  auto text = sys::read_text(path);
  int64_t expiry = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), expiry);
  return expiry <= seconds_of(now);
}

}  // namespace

Result<JoinToken> parse_join_token(std::string_view text) {
  std::string translated(text);
  translate(translated, "-_", "+/");
  std::string bytes(kTokenBytes, '\0');
  if (translated.size() != kTokenLength || translated.find('=') != std::string::npos ||
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), bytes_of(translated), kTokenLength) !=
          static_cast<int>(kTokenBytes)) {
    return error(ErrorKind::corrupt, "this is not a join token");
  }
  std::string_view content(bytes.data(), kSecretBytes + kFingerprintBytes);
  if (sha256(content).substr(0, kCheckBytes) != bytes.substr(content.size())) {
    return error(ErrorKind::corrupt, "the join token was mistyped");
  }
  return JoinToken{bytes.substr(0, kSecretBytes), bytes.substr(kSecretBytes, kFingerprintBytes)};
}

Result<std::string> create_join_token(const std::string& directory, std::string_view authority_fingerprint,
                                      WallTime now, WallTime expiry) {
  CHECK(authority_fingerprint.size() == kFingerprintBytes);
  std::error_code code;
  fs::create_directories(directory, code);
  if (!code) fs::permissions(directory, fs::perms::owner_all, code);
  if (code) return error(ErrorKind::failed, directory + ": " + code.message());
  for (const auto& entry : fs::directory_iterator(directory, code)) {
    if (expired(entry.path(), now)) fs::remove(entry.path(), code);
  }
  std::string bytes(kSecretBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), kSecretBytes) != 1) {
    return openssl_error(ErrorKind::failed, "random bytes");
  }
  std::string path = file_for(directory, bytes);
  bytes += authority_fingerprint;
  bytes += sha256(bytes).substr(0, kCheckBytes);
  std::string text(kTokenLength + 1, '\0');  // EVP_EncodeBlock adds a terminating zero
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes_of(bytes), kTokenBytes);
  text.resize(kTokenLength);
  translate(text, "+/", "-_");
  TRY(sys::replace_file(path, fmt::format("{}\n", seconds_of(expiry)), 0600));
  return text;
}

Result<void> redeem_join_token(const std::string& directory, std::string_view text, WallTime now) {
  auto token = TRY(parse_join_token(text));
  std::string path = file_for(directory, token.secret);
  bool too_late = expired(path, now);
  std::error_code code;
  if (!fs::remove(path, code) || too_late) {
    return error(ErrorKind::denied, "the join token is unknown, was used or has expired");
  }
  return {};
}

}  // namespace godwit::transport
