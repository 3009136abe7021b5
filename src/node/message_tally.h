// MessageTally: what became of messages for each address on this node, from the kernel's counters and from what the
// daemon did with those that waited. Loop thread only.
#pragma once

#include <map>
#include <optional>

#include "forwarding/message_counters.h"
#include "godwit/api.pb.h"

namespace godwit::node {

class MessageTally {
 public:
  // A node without nftables counts only what the daemon does itself.
  void start(const forwarding::NodePlace& here);
  bool counts() const { return counters_.has_value(); }
  // The counters as they are now. Takes about a millisecond.
  const std::map<uint32_t, forwarding::MessageCounts>& look();

  void located(forwarding::VirtualAddress address) { ++tallies_[address.code].located; }
  enum class Fate { held, resent, dropped };
  // What has waited here since the last call.
  void waited(forwarding::VirtualAddress address, Fate fate);
  // What goes to a logical host between these waited until it ran here.
  void arrival_begins(forwarding::VirtualAddress address);
  void arrival_ends(forwarding::VirtualAddress address);
  void count_dropped(forwarding::VirtualAddress address, bool dropped);

  api::MessageCounts of(forwarding::VirtualAddress address);
  // Of all addresses that this node has had to do with.
  api::MessageCounts all();

 private:
  struct Tally {
    uint64_t waited_before = 0;  // whose fate is known
    std::optional<uint64_t> entered_before;
    uint64_t held = 0, resent = 0, dropped = 0, located = 0;
  };
  std::optional<forwarding::MessageCounters> counters_;
  std::map<uint32_t, forwarding::MessageCounts> now_;
  std::map<uint32_t, Tally> tallies_;
};

}  // namespace godwit::node
