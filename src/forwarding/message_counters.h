// MessageCounters: packets for logical hosts, counted by the kernel where they pass through this node.
//
// An nftables table of its own ("inet godwit") whose sets fill by themselves, an element with a counter for each
// address that is seen. Counters only grow while the table lasts. Owned by the daemon, in its loop's thread; a kernel
// without nftables counts nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "forwarding/routes.h"
#include "sys/nftables.h"

namespace godwit::forwarding {

struct MessageCounts {
  uint64_t waited = 0;    // went into the waiting room
  uint64_t entered = 0;   // went to a logical host here
  uint64_t passed = 0;    // came from another node and went on to one
  uint64_t dropped = 0;   // came from another node and was dropped
  uint64_t sent = 0;      // left for another node
  uint64_t answered = 0;  // came from the logical host, from another node
};

class MessageCounters {
 public:
  static Result<MessageCounters> open(const NodePlace& here);
  // By address; both versions together.
  Result<std::map<uint32_t, MessageCounts>> read();
  // Whether what comes for the address counts as dropped.
  Result<void> count_dropped(VirtualAddress address, bool dropped);

 private:
  explicit MessageCounters(sys::Nftables nftables) : nftables_(std::move(nftables)) {}
  sys::Nftables nftables_;
};

// The counters in nft's listing of the table.
std::map<uint32_t, MessageCounts> parse_message_counters(const std::string& listing);

}  // namespace godwit::forwarding
