#include "files/file_table.h"

#include <fcntl.h>

#include "sys/file.h"
#include "sys/text_file.h"

namespace godwit::files {

namespace {

constexpr std::string_view kDeleted = " (deleted)";

int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

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

bool lies_below(std::string_view path, std::string_view directory) {
  if (directory == "/") return true;
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

Result<FileTable> FileTable::of_job(pid_t init_host_pid) {
  std::string text = TRY(sys::read_text("/proc/" + std::to_string(init_host_pid) + "/mountinfo"));
  return FileTable(TRY(proc::parse_mountinfo(text)));
}

const proc::Mount* FileTable::mount_of(std::string_view path) const {
  const proc::Mount* best = nullptr;
  for (const proc::Mount& mount : mounts_) {
    if (!lies_below(path, mount.point)) continue;
    if (best == nullptr || mount.point.size() >= best->point.size()) best = &mount;
  }
  return best;
}

Result<uint32_t> FileTable::add(int fd, std::string_view link, FileUse use) {
  struct stat status = TRY(sys::status_of(fd));
  std::pair<uint64_t, uint64_t> key(status.st_dev, status.st_ino);
  auto known = by_inode_.find(key);
  if (known != by_inode_.end()) {
    image::File& file = get(known->second);
    accumulate(file, use);
    file.set_unlinked(status.st_nlink == 0);
    return known->second;
  }
  image::File file;
  file.set_id(static_cast<uint32_t>(files_.size() + 1));
  file.set_unlinked(status.st_nlink == 0);
  if (file.unlinked() && link.ends_with(kDeleted)) link.remove_suffix(kDeleted.size());
  file.set_path(std::string(link));
  file.set_device(status.st_dev);
  file.set_inode(status.st_ino);
  file.set_special_device(status.st_rdev);
  set_status(file, status);
  accumulate(file, use);
  if (const proc::Mount* mount = mount_of(link)) {
    file.set_filesystem(mount->type);
    file.set_mount_source(mount->source);
    file.set_mount_root(mount->root);
    file.set_mount_point(mount->point);
  }
  fds_.push_back(TRY(sys::duplicate(fd)));
  by_inode_[key] = file.id();
  files_.push_back(std::move(file));
  return files_.back().id();
}

Result<int> FileTable::readable_fd(uint32_t id) {
  auto known = readable_.find(id);
  if (known != readable_.end()) return known->second.get();
  UniqueFd fd = TRY(sys::reopen(fds_.at(id - 1).get(), O_RDONLY | O_NONBLOCK));
  return readable_.emplace(id, std::move(fd)).first->second.get();
}

void FileTable::fill(image::LogicalHost& host) {
  host.clear_files();
  for (size_t i = 0; i < files_.size(); ++i) {
    auto status = sys::status_of(fds_[i].get());
    if (status) {
      set_status(files_[i], *status);
      files_[i].set_unlinked(status->st_nlink == 0);
    }
    *host.add_files() = files_[i];
  }
}

}  // namespace godwit::files
