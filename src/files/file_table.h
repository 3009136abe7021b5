// FileTable: every file a job needs, once each, found at the source: mapped,
// executed, open, working directories, devices.
//
// Identity is device and inode; uses accumulate. A descriptor of each is kept
// for its content. Adding one that is known is one fstat(2). Numbers stay the
// same for the table's life, so that a plan and the final state agree.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "files/hash_cache.h"
#include "godwit/image.pb.h"
#include "proc/mountinfo.h"

namespace godwit::files {

struct FileUse {
  bool written = false;
  bool mapped_shared = false;
  bool executable = false;
};

class FileTable {
 public:
  // Of the job whose godwit-init this is: its mounts say where files lie.
  // `hash_store`: see hash_store_of(); may be empty.
  static Result<FileTable> of_job(pid_t init_host_pid, std::string hash_store = {});

  // `fd`: any descriptor of the file, O_PATH will do; `link`: the text of its
  // /proc link. Returns image.File.id.
  Result<uint32_t> add(int fd, std::string_view link, FileUse use);
  // A file of which only the kernel's handle is known; see sys/file_handle.h.
  // Nothing: it cannot be found by a name.
  Result<std::optional<uint32_t>> add_by_handle(uint64_t device, uint64_t inode, int32_t type,
                                                const std::string& handle);
  // Instead of adding one that is known: whether its name is; if not it is to be added.
  Result<bool> knows_name(uint32_t id);
  // Its name counts only while somebody has it open, since its content does not travel. Those of all others are told of
  // as they are, also when nobody has them open any more.
  void settle_name(uint32_t id) { settled_.insert(id); }
  // Names that were added or looked at until now may have changed.
  void look_anew() { looked_.clear(); }
  const image::File& get(uint32_t id) const { return files_.at(id - 1); }
  image::File& get(uint32_t id) { return files_.at(id - 1); }
  // For content: readable, positions must not be relied on.
  Result<int> readable_fd(uint32_t id);
  // All files, sizes, times and names as they are now.
  Result<void> fill(image::LogicalHost& host);
  bool contains(uint32_t id) const { return id >= 1 && id <= files_.size(); }
  // Whether an inode is in the table, and as which file.
  std::optional<uint32_t> find(uint64_t device, uint64_t inode) const;
  HashCache& hashes() { return hashes_; }
  // Where the job's "/" is for this process.
  const std::string& root() const { return root_; }

 private:
  FileTable(std::vector<proc::Mount> mounts, std::string root, std::string hash_store)
      : mounts_(std::move(mounts)), root_(std::move(root)), hashes_(std::move(hash_store)) {}
  Result<bool> look_again(uint32_t id);
  void set_name(size_t index, std::string_view link, const struct stat& status);
  void add_parents(image::File& file);

  std::vector<proc::Mount> mounts_;
  std::string root_;
  HashCache hashes_;
  std::vector<bool> nameless_;  // the name it was opened by is gone, whatever links remain
  std::map<std::string, image::ParentDirectory, std::less<>> parents_;
  std::vector<image::File> files_;
  std::vector<UniqueFd> fds_;
  std::map<uint32_t, UniqueFd> readable_;
  std::set<uint32_t> looked_, settled_;
  std::map<std::pair<uint64_t, uint64_t>, uint32_t> by_inode_;
};

}  // namespace godwit::files
