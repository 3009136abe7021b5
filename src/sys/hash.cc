#include "sys/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <memory>
#include <vector>

#include "sys/file.h"

namespace godwit::sys {

Sha256 sha256_digest(std::span<const std::byte> bytes) {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);  // once: it is looked up by name
  Sha256 digest;
  unsigned length = 0;
  int done = EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &length, algorithm,
                        nullptr);
  CHECK(done == 1 && length == digest.size());
  return digest;
}

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 digest = sha256_digest(bytes);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Result<std::string> sha256_of_file(int fd) {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  CHECK(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (uint64_t offset = 0;;) {
    size_t count = TRY(try_read_at(fd, offset, buffer));
    CHECK(EVP_DigestUpdate(context.get(), buffer.data(), count) == 1);
    offset += count;
    if (count < buffer.size()) break;
  }
  std::string digest(32, '\0');
  CHECK(EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1);
  return digest;
}

uint64_t quick_hash(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace godwit::sys
