#include "files/owner_rights.h"

#include <unistd.h>

#include "sys/directory_entry.h"
#include "sys/file.h"

namespace godwit::files {

AsOwner::AsOwner(const Owner& owner) : changed_(owner.uid != 0 && ::geteuid() == 0) {
  if (changed_) CHECK(sys::act_as(owner.uid, owner.gid, owner.groups));
}

AsOwner::~AsOwner() {
  if (changed_) CHECK(sys::act_as(0, 0, {}));
}

bool owner_may(const Owner& owner, const std::string& path, int rights) {
  AsOwner as_owner(owner);
  return sys::may_access(path, rights);
}

bool owner_may_create(const Owner& owner, const std::string& path) {
  std::string directory = path.substr(0, path.rfind('/'));
  while (!directory.empty() && !sys::status_of(directory)) directory.resize(directory.rfind('/'));
  return owner_may(owner, directory.empty() ? "/" : directory, W_OK | X_OK);
}

}  // namespace godwit::files
