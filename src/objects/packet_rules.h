// The nftables rules of a logical host's network namespace: tables, chains, sets with their elements, objects, rules,
// with what their counters say.
//
// They are read and made again as the kernel tells of them, message by message, so that nothing depends on how a
// program would print them. Only handles are others afterwards. Source: Linux 6.18
// include/uapi/linux/netfilter/nf_tables.h, net/netfilter/nf_tables_api.c, libnftnl.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "godwit/worker.pb.h"
#include "sys/netlink.h"

namespace godwit::objects {

// Speaks of the network namespace it was opened in. Kernels without nftables have no rules.
class PacketRules {
 public:
  static Result<PacketRules> open();
  // A number that is another one after every change by a program. One round trip.
  Result<uint32_t> generation();
  // Each message ready to be made again. Errors: retry when the rules changed meanwhile.
  Result<std::vector<std::string>> list(std::vector<worker::Refusal>& refusals);
  // Exactly these; all of it or nothing. Errors: corrupt for what is no such message; the kernel's.
  Result<void> replace(const std::vector<std::string>& messages);

 private:
  std::optional<sys::Netlink> netlink_;  // empty: no nftables here
};

}  // namespace godwit::objects
