#include "files/shared_file.h"

#include <algorithm>
#include <array>

#include "files/hash_cache.h"

namespace godwit::files {

namespace {

// The source names one server and one volume, whichever node asks.
constexpr std::array<std::string_view, 12> kNetwork{"nfs",  "nfs4", "cifs",  "smb3",           "ceph",   "lustre",
                                                    "gfs2", "gpfs", "ocfs2", "fuse.glusterfs", "beegfs", "afs"};
// The source is a name that another host may use for another directory.
constexpr std::array<std::string_view, 2> kHostShares{"9p", "virtiofs"};

template <size_t N>
bool is_one_of(const std::array<std::string_view, N>& types, std::string_view type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

bool same_content_and_time(const image::File& file, const struct stat& here) {
  return static_cast<uint64_t>(here.st_size) == file.size() && nanoseconds(here.st_mtim) == file.mtime_ns() &&
         nanoseconds(here.st_ctim) == file.ctime_ns();
}

}  // namespace

bool is_shared(const image::File& file, const struct stat& here, bool same_machine,
               const std::vector<proc::Mount>& mounts) {
  if ((here.st_mode & S_IFMT) != (file.mode() & S_IFMT) || here.st_ino != file.inode()) return false;
  if (same_machine && here.st_dev == file.device()) return true;
  const proc::Mount* mount = proc::mount_of(mounts, file.path());
  bool same_mount = mount != nullptr && mount->type == file.filesystem() && mount->source == file.mount_source() &&
                    mount->root == file.mount_root() && mount->point == file.mount_point();
  if (!same_mount) return false;
  if (is_one_of(kNetwork, mount->type)) return true;
  return is_one_of(kHostShares, mount->type) && same_content_and_time(file, here);
}

}  // namespace godwit::files
