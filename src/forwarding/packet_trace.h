// PacketTrace: the packets of one logical host as they pass through this node, and what happened to each here.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "forwarding/packet_headers.h"
#include "forwarding/routes.h"
#include "sys/packet_socket.h"

namespace godwit::forwarding {

enum class Passage {
  sent,       // by a job that is here
  left,       // for another node
  arrived,    // from another node
  waited,     // in the waiting room, and goes on now
  delivered,  // to a job that is here
  other,      // on an interface that is not ours
};

struct TracedPacket {
  int64_t unix_ns = 0;
  Passage passage = Passage::other;
  std::string interface;
  PacketHeaders headers;
};

// How a packet passes an interface of that name. Nothing: it is seen elsewhere too.
std::optional<Passage> passage_of(const std::string& interface, bool outgoing, const std::string& uplink);

class PacketTrace {
 public:
  // From now on; in the calling thread's network namespace.
  static Result<PacketTrace> open(const NodePlace& here, VirtualAddress address);
  // The next one; nothing when none comes for so long.
  Result<std::optional<TracedPacket>> next(std::chrono::milliseconds patience);
  // Packets that came too fast to be seen, since the last call.
  Result<uint32_t> missed() { return packets_.missed(); }

 private:
  PacketTrace(std::string uplink, sys::PacketSocket packets)
      : uplink_(std::move(uplink)), packets_(std::move(packets)) {}
  const std::string& name_of(unsigned interface);

  std::string uplink_;
  sys::PacketSocket packets_;
  std::map<unsigned, std::string> names_;  // of interfaces that may have gone by now
};

}  // namespace godwit::forwarding
