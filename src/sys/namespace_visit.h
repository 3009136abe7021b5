// NamespaceVisit: this process is in another process's mount namespace while the scope lasts.
//
// Files opened meanwhile belong to that namespace's mounts. Paths below /proc mean that namespace's proc: reopen
// descriptors through /proc/self outside the scope. Requires a single-threaded process. Source: setns(2),
// mount_namespaces(7).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

class MountNamespace {
 public:
  // Of the process behind `pidfd`.
  static Result<MountNamespace> of(int pidfd);

  class Visit {
   public:
    ~Visit();
    Visit(Visit&& other) noexcept : home_(std::exchange(other.home_, -1)) {}
    Visit& operator=(Visit&&) = delete;

   private:
    friend class MountNamespace;
    explicit Visit(int home) : home_(home) {}
    int home_;
  };
  Result<Visit> visit() const;

 private:
  MountNamespace(UniqueFd there, UniqueFd home) : there_(std::move(there)), home_(std::move(home)) {}
  UniqueFd there_, home_;
};

}  // namespace godwit::sys
