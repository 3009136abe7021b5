// KernelPrograms: the BPF programs that migrations away from here use, loaded once (it takes some 150 ms) and held for
// all of them. Where this kernel does not take them there are none, and every migration tries for itself.
#pragma once

#include <mutex>
#include <optional>

#include "freeze/kernel_tasks.h"

namespace godwit::node {

class KernelPrograms {
 public:
  // From any thread.
  void load() {
    auto loaded = freeze::KernelTasks::load();
    std::lock_guard guard(mutex_);
    if (loaded) tasks_.emplace(std::move(*loaded));
  }
  // Empty until they are loaded.
  sys::BpfPrograms::Ids ids() const {
    std::lock_guard guard(mutex_);
    auto found = tasks_ ? tasks_->ids() : Result<sys::BpfPrograms::Ids>();
    return found ? *found : sys::BpfPrograms::Ids();
  }

 private:
  mutable std::mutex mutex_;
  std::optional<freeze::KernelTasks> tasks_;
};

}  // namespace godwit::node
