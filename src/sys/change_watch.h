// ChangeWatch: whether anything changed in a set of directories. Source: inotify(7).
//
// Writes through mappings are not seen. Directories that could not be watched make every answer "yes": it is only ever
// a reason not to look.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

class ChangeWatch {
 public:
  // Entries of this directory, their names, attributes and content; again is no harm.
  void add(const std::string& directory);
  // Since the last call; yes before the first directory was added. One read(2) when nothing changed.
  Result<bool> changed();

 private:
  UniqueFd inotify_;
  bool blind_ = false;
};

}  // namespace godwit::sys
