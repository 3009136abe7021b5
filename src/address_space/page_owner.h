// PageOwner: whose a page is: a process's, which has it at an address, or a memory object's (0007), which has it at an
// offset. Travels as it is, little-endian.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>

namespace godwit::address_space {

struct PageOwner {
  enum class Kind : uint32_t { none, process, object };

  static constexpr PageOwner process(pid_t pid) { return {Kind::process, static_cast<uint32_t>(pid)}; }
  static constexpr PageOwner object(uint32_t id) { return {Kind::object, id}; }
  bool is_object() const { return kind == Kind::object; }
  // What the head of a frame says, whose type tells the kind.
  pid_t number() const { return static_cast<pid_t>(id); }
  auto operator<=>(const PageOwner&) const = default;

  Kind kind = Kind::none;
  uint32_t id = 0;  // a process's pid in the job, or the object's id
};

}  // namespace godwit::address_space
