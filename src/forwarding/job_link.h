// JobLink: the cable between a logical host's network namespace and its node, a pair of virtual interfaces.
//
// Inside it is eth0 with the virtual address and a default route; the node's end is named after the address. Made by a
// worker while nothing is frozen. attach() is for a program that starts here; for one that moves in, expect() lets
// packets come and wait in the kernel, in order, and deliver() lets them through: both are prepared ahead and take some
// microseconds. Until commit() the destructor takes it away, and with it its routes.
#pragma once

#include <string_view>

#include "base/result.h"
#include "forwarding/routes.h"
#include "godwit/worker.pb.h"
#include "sys/netlink.h"

namespace godwit::forwarding {

// The number of the job's own interface: the same on every node, since programs may remember it.
inline constexpr unsigned kJobInterface = 2;

std::string job_link_name(VirtualAddress address);
// Whether an interface of that name is the node's end of some logical host's.
bool is_job_link(std::string_view interface);

class JobLink {
 public:
  // `process`: one in the logical host's network namespace. Requires: this thread is in the node's network namespace
  // and its process has no other threads. For a logical host without an address nothing is made or done.
  static Result<JobLink> create(const worker::NetworkPlace& place, pid_t process);
  ~JobLink();
  JobLink(JobLink&&) noexcept = default;
  JobLink& operator=(JobLink&&) = delete;

  Result<void> expect() { return netlink_ ? netlink_->run(expect_) : Result<void>(); }
  Result<void> deliver() { return netlink_ ? netlink_->run(deliver_) : Result<void>(); }
  Result<void> attach();
  void commit() { name_.clear(); }

 private:
  JobLink() = default;
  std::optional<sys::Netlink> netlink_;  // in the node's namespace
  std::string name_;                     // empty: not ours any more
  NetlinkBatch expect_, deliver_;
};

}  // namespace godwit::forwarding
