// An address in another process. Its own type, so that it is never dereferenced here by mistake.
#pragma once

#include <compare>
#include <cstdint>

namespace godwit::freeze {

enum class RemoteAddress : uint64_t {};

inline uint64_t value(RemoteAddress address) { return static_cast<uint64_t>(address); }
inline RemoteAddress operator+(RemoteAddress address, uint64_t bytes) { return RemoteAddress{value(address) + bytes}; }

}  // namespace godwit::freeze
