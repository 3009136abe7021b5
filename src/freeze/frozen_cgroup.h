// FrozenCgroup: a cgroup whose processes do not run while the scope lasts. Source: cgroups(7), "cgroup.freeze".
// If our process dies the cgroup stays frozen: the daemon thaws it.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "sys/text_file.h"

namespace godwit::freeze {

class FrozenCgroup {
 public:
  static Result<FrozenCgroup> freeze(const std::string& directory) {
    FrozenCgroup frozen(directory + "/cgroup.freeze");
    TRY(sys::write_text(frozen.file_, "1"));
    return frozen;
  }
  ~FrozenCgroup() {
    if (!file_.empty()) (void)sys::write_text(file_, "0");  // fails only when the cgroup is gone
  }
  FrozenCgroup(FrozenCgroup&& other) noexcept : file_(std::exchange(other.file_, {})) {}
  FrozenCgroup& operator=(FrozenCgroup&&) = delete;
  // It stays frozen.
  void commit() && { file_.clear(); }

 private:
  explicit FrozenCgroup(std::string file) : file_(std::move(file)) {}
  std::string file_;
};

}  // namespace godwit::freeze
