// PacketSocket: copies of the packets that pass an address, on every interface of this network namespace, in and out.
// Needs CAP_NET_RAW. Source: packet(7), socket(7) (SO_TIMESTAMPNS), Linux Documentation/networking/filter.rst,
// net/packet/af_packet.c.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/ip_address.h"

namespace godwit::sys {

struct SeenPacket {
  int64_t unix_ns = 0;  // when the interface had it
  unsigned interface = 0;
  bool outgoing = false;
  std::string head;  // from its IP header on, kHeadBytes at most
};

class PacketSocket {
 public:
  static constexpr size_t kHeadBytes = 128;

  // From now on. Packets from or to one of the addresses.
  static Result<PacketSocket> open(std::span<const IpAddress> addresses);

  // The next one; nothing when none comes for so long.
  Result<std::optional<SeenPacket>> receive(std::chrono::milliseconds patience);
  // Packets that came faster than they were received, since the last call.
  Result<uint32_t> missed();

 private:
  explicit PacketSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace godwit::sys
