// Hashes: SHA-256 by OpenSSL (where content decides), XXH3 by xxHash (where only change matters).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace godwit::sys {

std::string sha256(std::span<const std::byte> bytes);
// Of a whole file, read from its beginning.
Result<std::string> sha256_of_file(int fd);
uint64_t quick_hash(std::span<const std::byte> bytes);

}  // namespace godwit::sys
