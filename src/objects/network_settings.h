// NetworkSettings: what the programs of a job have made of the job's own network: interfaces, addresses, routes, rules,
// neighbours, packet filter, settings in /proc/sys/net.
//
// Listed whole while the program runs; what takes longest is looked at from open() on, by threads of its own. In the
// freeze changed() says whether that is still how it is, in some microseconds; only when it is not, it is listed anew.
// Made again in the new logical host before the program is frozen. Counters of the packet filter and what packets have
// added to its sets are as they were when it was listed. The interface that godwit gives keeps what godwit gave it. One
// thread, in the node's network namespace, which it leaves for a moment.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "godwit/image.pb.h"
#include "godwit/worker.pb.h"
#include "objects/network_links.h"
#include "objects/network_sysctls.h"
#include "objects/packet_rules.h"
#include "sys/netlink.h"
#include "sys/write_watch.h"

namespace godwit::objects {

class NetworkSettings {
 public:
  // Of the logical host whose godwit-init that is.
  static Result<NetworkSettings> open(pid_t init_host_pid, int init_pidfd, GivenInterface given);
  Result<image::NetworkSettings> list(std::vector<worker::Refusal>& refusals);
  // Since list() began.
  Result<bool> changed();

 private:
  struct Sockets {
    sys::Netlink netlink, listening;
    PacketRules rules;
    std::optional<sys::Netlink> ipsec = {};
  };
  NetworkSettings(pid_t init_host_pid, int init_pidfd, GivenInterface given, Sockets sockets,
                  std::optional<sys::WriteWatch> sysctls, SysctlLook present, SysctlLook untouched)
      : init_host_pid_(init_host_pid),
        init_pidfd_(init_pidfd),
        given_(given),
        sockets_(std::move(sockets)),
        sysctls_(std::move(sysctls)),
        present_(std::move(present)),
        untouched_(std::move(untouched)) {}
  Result<image::NetworkSettings> list_once(std::vector<worker::Refusal>& refusals);
  Result<void> list_sysctls(image::NetworkSettings& into);
  Result<SysctlValues> present_sysctls();

  pid_t init_host_pid_;
  int init_pidfd_;
  GivenInterface given_;
  Sockets sockets_;
  std::optional<sys::WriteWatch> sysctls_;  // not with kernels without fanotify: what is set later is not seen
  LinksSeen links_seen_;
  std::optional<SysctlLook> present_;  // when they are looked at ahead
  SysctlLook untouched_;
  std::optional<SysctlValues> untouched_values_;
  uint32_t generation_ = 0;  // of the packet filter
  bool stale_ = true;        // something was told of since list() began
  bool sysctls_stale_ = true;
  SysctlChanges sysctl_changes_;
};

// Makes a new logical host's network like that; again, when it has changed at the source. In the calling thread's
// network namespace, the logical host's. Errors say which part cannot be made here.
class NetworkRestore {
 public:
  // `of_root`: whose job it is. Others could not have made a TUN or TAP, and would send whatever they like by one.
  NetworkRestore(GivenInterface given, bool of_root) : given_(given), of_root_(of_root) {}
  Result<void> make(const image::NetworkSettings& settings);
  TunEnds& tun_ends() { return tun_ends_; }

 private:
  GivenInterface given_;
  bool of_root_;
  TunEnds tun_ends_;
  SysctlChanges before_;    // what make() wrote over
  std::string links_made_;  // as bytes
};

}  // namespace godwit::objects
