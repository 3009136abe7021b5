// TCP connections that nobody has a descriptor of any more, while the kernel still sends what was written to them:
// sock_diag(7), Linux net/ipv4/inet_diag.c.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/netlink.h"

namespace godwit::sys {

// What a peer has not acknowledged yet, the end of the stream counted as a byte.
struct LastWords {
  std::string local, peer;  // sockaddr
  uint32_t bytes = 0;
  bool operator==(const LastWords&) const = default;
};

// Address and port, for people.
std::string name_of(const std::string& address);

class ClosedConnections {
 public:
  // Of one network namespace: that of the process.
  static Result<ClosedConnections> open(int pidfd);
  // Takes some microseconds where none are closed on the whole machine, or the network has no connection; otherwise a
  // walk of the kernel's table of connections for each version of IP.
  Result<std::vector<LastWords>> last_words();

 private:
  ClosedConnections(Netlink netlink, UniqueFd four, UniqueFd six, bool has_six)
      : netlink_(std::move(netlink)), four_(std::move(four)), six_(std::move(six)), has_six_(has_six) {}
  bool may_be_some() const;
  Result<void> add(uint8_t family, std::vector<LastWords>& into);
  Netlink netlink_;
  UniqueFd four_, six_;  // how many connections there are, by version of IP; or nobody knows
  bool has_six_;         // this kernel has IPv6
};

}  // namespace godwit::sys
