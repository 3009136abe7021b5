// What jobs left on this node when they went: carried files stay where they
// are, out of date, and may be replaced by the same job's newer ones if nobody
// changed them since. One small text file per path below the daemon's state
// directory.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "godwit/worker.pb.h"
#include "sys/file.h"

namespace godwit::files {

class LeftBehind {
 public:
  LeftBehind() = default;
  explicit LeftBehind(std::string directory) : directory_(std::move(directory)) {}
  // Notes the file at `path` as it is now. A note that a crash loses makes the file count as somebody else's: the
  // careful side.
  Result<void> note(const std::string& path, const std::string& job) const;
  // The same of a file that is about to get this name. Neither waits for the disk.
  Result<void> note(const std::string& path, const struct stat& status, const std::string& job) const;
  // Whether the file that is at `path` now is what `job` left there.
  bool is_former_copy(const std::string& path, const struct stat& status, const std::string& job) const;

 private:
  std::string file_for(const std::string& path) const;
  std::string directory_;
};

// Notes the files that a job left at `place`.
void note_left_behind(const worker::JobPlace& place, const std::vector<std::string>& paths);

// Of the daemon whose jobs live at `place`.
LeftBehind left_behind_of(const worker::JobPlace& place);

}  // namespace godwit::files
