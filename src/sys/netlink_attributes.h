// The attributes of a netlink message, or of one that holds others: netlink(7), with libmnl. Looked at where they are.
#pragma once

#include <libmnl/libmnl.h>

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string>

namespace godwit::sys {

class Attributes {
 public:
  explicit Attributes(std::span<const std::byte> bytes) : bytes_(bytes) {}
  // Those after the fixed part of a message.
  Attributes(const nlmsghdr* message, size_t fixed_bytes);
  // Those inside an attribute; none when it is null.
  explicit Attributes(const nlattr* outer);

  template <class Told>
  void for_each(Told told) const {
    const std::byte* end = bytes_.data() + bytes_.size();
    for (auto* each = reinterpret_cast<const nlattr*>(bytes_.data()); ok(each, end); each = mnl_attr_next(each)) {
      told(each);
    }
  }
  // Null: there is none of that type.
  const nlattr* find(uint16_t type) const;
  // Nothing when there is none, or it is shorter.
  template <class Value>
  std::optional<Value> value(uint16_t type) const {
    const nlattr* found = find(type);
    if (found == nullptr || mnl_attr_get_payload_len(found) < sizeof(Value)) return std::nullopt;
    Value value;
    std::memcpy(&value, mnl_attr_get_payload(found), sizeof value);
    return value;
  }
  // Empty when there is none.
  std::string text(uint16_t type) const;
  std::string bytes(uint16_t type) const;

 private:
  static bool ok(const nlattr* each, const std::byte* end) {
    return mnl_attr_ok(each, static_cast<int>(end - reinterpret_cast<const std::byte*>(each)));
  }
  std::span<const std::byte> bytes_;
};

}  // namespace godwit::sys
