// What a job's owner may do on this node: a migration gives no right that the
// owner would not have had here anyway.
//
// The kernel decides, not we: for as long as an AsOwner lives this process has
// the owner's user, groups and no capabilities beyond. Not for processes with
// several threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace godwit::files {

struct Owner {
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;
};

class AsOwner {
 public:
  // Of root nothing changes.
  explicit AsOwner(const Owner& owner);
  ~AsOwner();
  AsOwner(const AsOwner&) = delete;
  AsOwner& operator=(const AsOwner&) = delete;

 private:
  bool changed_;
};

// Whether the owner may use what is at `path`: R_OK, W_OK, X_OK of access(2).
bool owner_may(const Owner& owner, const std::string& path, int rights);
// Whether the owner may make or replace an entry of that name, with the
// directories above that are missing.
bool owner_may_create(const Owner& owner, const std::string& path);

}  // namespace godwit::files
