// The network's settings in /proc/sys/net (sysctls) that programs of a logical host have changed.
//
// Changed is what differs from a namespace that nobody has touched. Written in an order in which settings for all
// interfaces come before those of each. Source: ip-sysctl.rst, proc_sys_net(5).
#pragma once

#include <future>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"

namespace godwit::objects {

using SysctlValues = std::map<std::string, std::string>;  // by path below /proc/sys/net
using SysctlChanges = std::vector<std::pair<std::string, std::string>>;

// All that can be written, of the calling thread's network namespace. Some 20 ms.
Result<SysctlValues> list_network_sysctls();

// The same by a thread of its own, of another namespace; it begins at once.
class SysctlLook {
 public:
  // `pidfd`: of a process in it, to be kept open. Without: of one that nobody has touched.
  static Result<SysctlLook> begin(std::optional<int> pidfd);
  ~SysctlLook();
  SysctlLook(SysctlLook&&) = default;
  SysctlLook& operator=(SysctlLook&&) = delete;
  // Once: waits for it.
  Result<SysctlValues> values();

 private:
  SysctlLook(std::future<Result<SysctlValues>> found, std::thread thread)
      : found_(std::move(found)), thread_(std::move(thread)) {}
  std::future<Result<SysctlValues>> found_;
  std::thread thread_;
};

// What of `present` differs from `untouched`. New interfaces count as untouched with the values for such.
SysctlChanges changed_sysctls(const SysctlValues& present, const SysctlValues& untouched);
// In the calling thread's network namespace. Returns what was there before of what was written. Errors: corrupt for a
// name that is none; the kernel's.
Result<SysctlChanges> write_network_sysctls(const SysctlChanges& values);

}  // namespace godwit::objects
