#include "sys/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/unique_fd.h"
#include "sys/errno.h"
#include "sys/file.h"

namespace godwit::sys {
namespace {

Result<void> write_and_sync(int fd, std::string_view content, mode_t mode) {
  TRY(checked_void(::fchmod(fd, mode), "fchmod"));
  while (!content.empty()) {
    auto written = TRY(checked(::write(fd, content.data(), content.size()), "write"));
    content.remove_prefix(static_cast<size_t>(written));
  }
  return checked_void(::fsync(fd), "fsync");
}

Result<void> sync_directory_of(const std::string& path) {
  auto slash = path.rfind('/');
  std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  UniqueFd fd(TRY(checked(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open")));
  return checked_void(::fsync(fd.get()), "fsync");
}

}  // namespace

Result<void> replace_file(const std::string& path, std::string_view content, mode_t mode) {
  std::string beside = path + ".new-XXXXXX";
  UniqueFd fd(::mkostemp(beside.data(), O_CLOEXEC));
  if (!fd.valid()) return last_error("open", path);
  auto result = write_and_sync(fd.get(), content, mode);
  if (result) result = checked_void(::rename(beside.c_str(), path.c_str()), "rename");
  if (!result) {
    ::unlink(beside.c_str());
    return std::move(result).within(path);
  }
  return sync_directory_of(path).within(path);
}

Result<UniqueFd> begin_file(const std::string& path) {
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code failed;  // then it cannot be opened either
  std::filesystem::create_directories(directory, failed);
  std::filesystem::permissions(directory, std::filesystem::perms::owner_all, failed);
  std::filesystem::remove(path + kUnfinished, failed);
  return open_path(path + kUnfinished, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
}

Result<void> name_durably(int fd, const std::string& path) {
  TRY(checked_void(::fdatasync(fd), "fdatasync").within(path));
  TRY(rename_path(path + kUnfinished, path));
  return sync_directory_of(path).within(path);
}

}  // namespace godwit::sys
