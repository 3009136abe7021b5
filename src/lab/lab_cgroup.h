// The cgroup of a lab: CGROUP2/godwit-lab/LAB with one below it for each node and one for the bridge. Whatever the lab
// started is in there, so it can be found and killed whatever crashed. Source: Linux
// Documentation/admin-guide/cgroup-v2.rst.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace godwit::lab {

// Where cgroup v2 is mounted on this machine. Errors: unsupported when it is not.
Result<std::string> cgroup2_mount_point();

class LabCgroup {
 public:
  static Result<LabCgroup> of(const std::string& lab);

  // Makes the cgroup of `part` ("node1", "bridge").
  Result<void> make(const std::string& part) const;
  // Moves the calling process into it.
  Result<void> enter(const std::string& part) const;
  // Processes of `part` and all below it, by the caller's pid namespace.
  std::vector<pid_t> processes(const std::string& part) const;
  // Kills all of the lab, waits until it is gone (at most 15 s) and removes the cgroups.
  Result<void> remove() const;

 private:
  explicit LabCgroup(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace godwit::lab
