#include "sys/netlink_attributes.h"

namespace godwit::sys {

Attributes::Attributes(const nlmsghdr* message, size_t fixed_bytes) {
  size_t all = mnl_nlmsg_get_payload_len(message), fixed = MNL_ALIGN(fixed_bytes);
  if (all > fixed) bytes_ = {static_cast<const std::byte*>(mnl_nlmsg_get_payload(message)) + fixed, all - fixed};
}

Attributes::Attributes(const nlattr* outer) {
  if (outer == nullptr) return;
  bytes_ = {static_cast<const std::byte*>(mnl_attr_get_payload(outer)), mnl_attr_get_payload_len(outer)};
}

const nlattr* Attributes::find(uint16_t type) const {
  const nlattr* found = nullptr;
  for_each([&](const nlattr* each) {
    if (found == nullptr && mnl_attr_get_type(each) == type) found = each;
  });
  return found;
}

std::string Attributes::bytes(uint16_t type) const {
  const nlattr* found = find(type);
  if (found == nullptr) return {};
  return {static_cast<const char*>(mnl_attr_get_payload(found)), mnl_attr_get_payload_len(found)};
}

std::string Attributes::text(uint16_t type) const {
  std::string text = bytes(type);
  return text.substr(0, text.find('\0'));
}

}  // namespace godwit::sys
