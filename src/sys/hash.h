// Hashes: SHA-256 by OpenSSL (where content decides), XXH3 by xxHash (where only change matters).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace godwit::sys {

using Sha256 = std::array<std::byte, 32>;

Sha256 sha256_digest(std::span<const std::byte> bytes);
std::string sha256(std::span<const std::byte> bytes);  // the same, as text of 32 bytes
// Of a whole file, read from its beginning.
Result<std::string> sha256_of_file(int fd);
uint64_t quick_hash(std::span<const std::byte> bytes);

}  // namespace godwit::sys
