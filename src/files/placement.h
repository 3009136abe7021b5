// Placement: a file on its way to a name at the destination.
//
// Until publish() it is complete under a hidden name in the directory where it
// will be; publishing is one rename, and what had the name before takes the
// hidden one. Without keep() the destructor takes everything back, directories
// made on the way included. All of it with the rights of the job's owner, below
// directories that are held open, over no symbolic link.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "files/owner_rights.h"
#include "godwit/image.pb.h"
#include "godwit/wire.pb.h"

namespace godwit::files {

// Directories and FIFOs made for a job; the destructor removes those that are
// still empty unless they are kept.
class MadeEntries {
 public:
  explicit MadeEntries(const Owner& owner) : owner_(owner) {}
  ~MadeEntries();
  MadeEntries(MadeEntries&&) = delete;

  // The directory that `path` lies in, made with those above it as at the
  // source if need be. Errors: conflict when a link is in the way, denied when
  // the owner may not.
  Result<UniqueFd> parent_of(const std::string& path, const image::File& file);
  // Makes the directory or FIFO that `file` describes; O_PATH.
  Result<UniqueFd> make(const std::string& path, const image::File& file);
  void keep() { made_.clear(); }

 private:
  Result<UniqueFd> make_directory(UniqueFd& above, const std::string& name, const image::ParentDirectory& as);

  const Owner& owner_;
  std::vector<std::pair<UniqueFd, std::string>> made_;  // in this directory, this name
};

class Placement {
 public:
  // A new empty file under `temporary` beside `path`. Requires: `owner` and
  // `made` outlive it.
  static Result<Placement> make(const std::string& path, const std::string& temporary, const image::File& file,
                                const Owner& owner, MadeEntries& made);
  ~Placement() { take_back(); }
  Placement(Placement&& other) noexcept;
  Placement& operator=(Placement&&) = delete;

  // Readable and writable.
  UniqueFd take_fd() { return std::move(fd_); }
  // It will be there instead.
  Result<void> retarget(const std::string& path, const image::File& file, MadeEntries& made);
  // It gets its name. `found`: what the name is known to have now, or nothing.
  // Errors: conflict when that has changed. `own_place`: in a directory of the
  // job's own, where whatever has the name is the job's.
  Result<void> publish(const wire::FileVerdict::Here* found, bool own_place);
  // For good; what had the name before goes.
  void keep();
  // It will have no name at all.
  void drop() { take_back(); }

 private:
  enum class State { temporary, created, exchanged, done };
  Placement(const Owner& owner, UniqueFd directory, std::string temporary, UniqueFd target, std::string name);
  void take_back();

  const Owner* owner_;
  UniqueFd directory_;  // of the temporary
  std::string temporary_;
  UniqueFd target_;   // directory
  std::string name_;  // in it
  UniqueFd fd_;
  State state_ = State::temporary;
};

}  // namespace godwit::files
