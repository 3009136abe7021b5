#include "files/file_table.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include "sys/file.h"
#include "sys/file_handle.h"
#include "sys/huge_page_pool.h"
#include "sys/text_file.h"

namespace godwit::files {

namespace {

constexpr std::string_view kDeleted = " (deleted)";

void set_status(image::File& file, const struct stat& status) {
  file.set_size(static_cast<uint64_t>(status.st_size));
  file.set_mtime_ns(nanoseconds(status.st_mtim));
  file.set_ctime_ns(nanoseconds(status.st_ctim));
  file.set_mode(status.st_mode);
  file.set_uid(status.st_uid);
  file.set_gid(status.st_gid);
}

void accumulate(image::File& file, const FileUse& use) {
  file.set_written(file.written() || use.written);
  file.set_mapped_shared(file.mapped_shared() || use.mapped_shared);
}

}  // namespace

Result<FileTable> FileTable::of_job(pid_t init_host_pid, std::string hash_store) {
  std::string proc = "/proc/" + std::to_string(init_host_pid);
  std::string text = TRY(sys::read_text(proc + "/mountinfo"));
  return FileTable(TRY(proc::parse_mountinfo(text)), proc + "/root", std::move(hash_store));
}

// What a file is called now, and whether it is: names change while a program
// runs.
void FileTable::set_name(size_t index, std::string_view link, const struct stat& status) {
  image::File& file = files_[index];
  bool deleted = link.ends_with(kDeleted);
  if (deleted && status.st_nlink > 0) {
    auto literal = sys::status_of(root_ + std::string(link));
    deleted = !literal || literal->st_ino != status.st_ino || literal->st_dev != status.st_dev;
  }
  if (deleted) link.remove_suffix(kDeleted.size());
  bool another_name_counts = deleted && status.st_nlink > 0 && !file.path().empty() && file.path() != link;
  if (!another_name_counts) {
    nameless_[index] = deleted;
    if (file.path() != link) {
      file.set_path(std::string(link));
      file.clear_parents();
      add_parents(file);
    }
  }
  file.set_unlinked(status.st_nlink == 0 || nameless_[index]);
}

void FileTable::add_parents(image::File& file) {
  const std::string& path = file.path();
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    std::string_view directory = std::string_view(path).substr(0, slash);
    auto known = parents_.find(directory);
    if (known == parents_.end()) {
      image::ParentDirectory parent;
      auto status = sys::status_of(root_ + std::string(directory));
      if (!status) return;
      parent.set_mode(status->st_mode & 07777);
      parent.set_uid(status->st_uid);
      parent.set_gid(status->st_gid);
      known = parents_.emplace(directory, parent).first;
    }
    *file.add_parents() = known->second;
  }
}

Result<uint32_t> FileTable::add(int fd, std::string_view link, FileUse use) {
  struct stat status = TRY(sys::status_of(fd));
  std::pair<uint64_t, uint64_t> key(status.st_dev, status.st_ino);
  auto known = by_inode_.find(key);
  if (known != by_inode_.end()) {
    if (status.st_nlink == 0 || !link.ends_with(kDeleted)) looked_.insert(known->second);
    image::File& file = get(known->second);
    accumulate(file, use);
    if (file.path() != link || status.st_nlink == 0) set_name(known->second - 1, link, status);
    return known->second;
  }
  fds_.push_back(TRY(sys::duplicate(fd)));
  nameless_.push_back(false);
  image::File& file = files_.emplace_back();
  file.set_id(static_cast<uint32_t>(files_.size()));
  by_inode_[key] = file.id();
  file.set_device(status.st_dev);
  file.set_inode(status.st_ino);
  file.set_special_device(status.st_rdev);
  if (S_ISREG(status.st_mode)) file.set_page_bytes(sys::pool_page_bytes(fd));
  set_status(file, status);
  accumulate(file, use);
  set_name(files_.size() - 1, link, status);
  if (const proc::Mount* mount = proc::mount_of(mounts_, file.path())) {
    file.set_filesystem(mount->type);
    file.set_mount_source(mount->source);
    file.set_mount_root(mount->root);
    file.set_mount_point(mount->point);
  }
  return file.id();
}

Result<bool> FileTable::look_again(uint32_t id) {
  int fd = fds_.at(id - 1).get();
  std::string link = TRY(sys::link_of(fd));
  struct stat status = TRY(sys::status_of(fd));
  if (get(id).path() != link || status.st_nlink == 0) set_name(id - 1, link, status);
  bool known = status.st_nlink == 0 || !link.ends_with(kDeleted);
  if (known) looked_.insert(id);
  return known;
}

Result<bool> FileTable::knows_name(uint32_t id) { return looked_.contains(id) || TRY(look_again(id)); }

Result<std::optional<uint32_t>> FileTable::add_by_handle(uint64_t device, uint64_t inode, int32_t type,
                                                         const std::string& handle) {
  if (auto known = find(device, inode)) return known;
  for (const proc::Mount& mount : mounts_) {
    if (makedev(mount.major, mount.minor) != device) continue;
    auto place = sys::open_path(root_ + mount.point, O_RDONLY | O_NONBLOCK);
    if (!place) continue;
    auto fd = sys::open_by_handle(place->get(), type, handle);
    if (!fd) continue;
    std::string link = TRY(sys::link_of(fd->get()));
    // Only below what this mount shows of its file system is that a name the job knows.
    auto there = sys::status_of(root_ + link);
    if (there && there->st_dev == device && there->st_ino == inode) return std::optional(TRY(add(fd->get(), link, {})));
  }
  return std::optional<uint32_t>();
}

std::optional<uint32_t> FileTable::find(uint64_t device, uint64_t inode) const {
  auto known = by_inode_.find({device, inode});
  return known == by_inode_.end() ? std::nullopt : std::optional(known->second);
}

Result<int> FileTable::readable_fd(uint32_t id) {
  auto known = readable_.find(id);
  if (known != readable_.end()) return known->second.get();
  UniqueFd fd = TRY(sys::reopen(fds_.at(id - 1).get(), O_RDONLY | O_NONBLOCK));
  return readable_.emplace(id, std::move(fd)).first->second.get();
}

Result<void> FileTable::fill(image::LogicalHost& host) {
  host.clear_files();
  for (size_t i = 0; i < files_.size(); ++i) {
    image::File& file = files_[i];
    auto status = sys::status_of(fds_[i].get());
    bool changed = status && file.ctime_ns() != nanoseconds(status->st_ctim);
    if (!looked_.contains(file.id()) && (changed || !settled_.contains(file.id()))) TRY(look_again(file.id()));
    if (status) {
      set_status(file, *status);
      file.set_unlinked(status->st_nlink == 0 || nameless_[i]);
    }
    *host.add_files() = file;
  }
  return {};
}

}  // namespace godwit::files
