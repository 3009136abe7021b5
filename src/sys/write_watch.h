// WriteWatch: whether anything was written to files of a mounted file system below some path. Source: fanotify(7).
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

class WriteWatch {
 public:
  // `directory`: of the file system. `part`: of a file's path for it to count.
  static Result<WriteWatch> open(const std::string& directory, std::string part);
  // Since the last call. One read(2) when nothing was.
  Result<bool> written();

 private:
  WriteWatch(UniqueFd fd, std::string part) : fd_(std::move(fd)), part_(std::move(part)) {}
  UniqueFd fd_;
  std::string part_;
};

}  // namespace godwit::sys
