#include "sys/socket_names.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

// The path below the stage, without "." and "..".
std::string inner_path(const std::string& path) {
  std::string inner = std::filesystem::path("/" + path).lexically_normal().string();
  return inner.substr(inner.find_first_not_of('/') == std::string::npos ? inner.size() : inner.find_first_not_of('/'));
}

Result<void> make_parents(int stage, const std::string& path) {
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    std::string above = path.substr(0, slash);
    if (above.empty() || above.ends_with("/") || above.ends_with(".")) continue;
    if (::mkdirat(stage, above.c_str(), 0700) != 0 && errno != EEXIST) return last_error("mkdir", above);
  }
  return {};
}

}  // namespace

std::string SocketNameStage::base() const { return std::filesystem::path(path_).filename().string(); }

Result<SocketNameStage> SocketNameStage::make(UniqueFd directory, std::string path) {
  SocketNameStage stage(std::move(directory), std::move(path));
  if (stage.base().empty()) return error(ErrorKind::corrupt, "an impossible name of a unix socket");
  for (int attempt = 0; !stage.stage_.valid(); ++attempt) {
    std::string name = ".godwit-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
    if (::mkdirat(stage.directory_.get(), name.c_str(), 0700) != 0) {
      if (errno == EEXIST && attempt < 100000) continue;
      return last_error("mkdir", "a place for a unix socket");
    }
    stage.name_ = name;
    stage.stage_ = UniqueFd(::openat(stage.directory_.get(), name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!stage.stage_.valid()) return last_error("open", name);
  }
  TRY(make_parents(stage.stage_.get(),
                   stage.path_.substr(std::min(stage.path_.find_first_not_of('/'), stage.path_.size()))));
  return stage;
}

SocketNameStage::~SocketNameStage() {
  if (!stage_.valid()) return;
  std::error_code ignored;  // what cannot be removed is an empty directory of ours
  std::filesystem::remove_all("/proc/self/fd/" + std::to_string(directory_.get()) + "/" + name_, ignored);
}

Result<SocketNameStage::Inside> SocketNameStage::enter() const {
  UniqueFd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  UniqueFd at(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid() || !at.valid()) return last_error("open", "/");
  Inside inside(std::move(root), std::move(at));
  if (::fchdir(stage_.get()) != 0 || ::chroot(".") != 0) return last_error("chroot");
  return inside;
}

SocketNameStage::Inside::~Inside() {
  if (!root_.valid()) return;
  CHECK(::fchdir(root_.get()) == 0 && ::chroot(".") == 0);  // with the wrong root nothing we do would be right
  (void)::fchdir(at_.get());                                // it may have been removed
}

bool SocketNameStage::taken() const {
  struct stat status;
  return ::fstatat(directory_.get(), base().c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<void> SocketNameStage::set_owner(uid_t uid, gid_t gid, mode_t mode) {
  std::string path = inner_path(path_);
  if (::fchmodat(stage_.get(), path.c_str(), mode & 0777, 0) != 0) return last_error("fchmodat", path_);
  return checked_void(::fchownat(stage_.get(), path.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW), "fchownat");
}

bool SocketNameStage::may_publish(uid_t uid) const {
  if (::faccessat(directory_.get(), "", W_OK | X_OK, AT_EACCESS | AT_EMPTY_PATH) != 0) return false;
  struct stat status;
  bool there = ::fstatat(directory_.get(), base().c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  return !there || uid == 0 || status.st_uid == uid;
}

Result<void> SocketNameStage::publish() {
  std::string from = inner_path(path_);
  if (::renameat(stage_.get(), from.c_str(), directory_.get(), base().c_str()) != 0) return last_error("rename", path_);
  return {};
}

void SocketNameStage::withdraw() { (void)::unlinkat(directory_.get(), base().c_str(), 0); }  // it may be gone

Result<void> bind_to(int fd, const std::string& address) {
  sockaddr_storage where{};
  if (address.size() > sizeof where) return error(ErrorKind::corrupt, "an impossible socket address");
  std::memcpy(&where, address.data(), address.size());
  return checked_void(::bind(fd, reinterpret_cast<sockaddr*>(&where), static_cast<socklen_t>(address.size())), "bind");
}

Result<void> connect_to(int fd, const std::string& address) {
  sockaddr_storage where{};
  if (address.size() > sizeof where) return error(ErrorKind::corrupt, "an impossible socket address");
  std::memcpy(&where, address.data(), address.size());
  auto size = static_cast<socklen_t>(address.size());
  return checked_void(::connect(fd, reinterpret_cast<sockaddr*>(&where), size), "connect");
}

std::string unmapped(const std::string& address) {
  sockaddr_in6 six{};
  if (address.size() < sizeof six) return address;
  std::memcpy(&six, address.data(), sizeof six);
  if (six.sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) return address;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = six.sin6_port;
  std::memcpy(&four.sin_addr, &six.sin6_addr.s6_addr[12], sizeof four.sin_addr);
  return std::string(reinterpret_cast<const char*>(&four), sizeof four);
}

Result<std::string> own_address(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return last_error("getsockname");
  return std::string(reinterpret_cast<const char*>(&address), length);
}

Result<std::string> asked_address(int fd) {
  sockaddr_storage address{};
  auto length = static_cast<socklen_t>(TRY(own_address(fd)).size());  // more than there is would be refused
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &address, &length) != 0) return last_error("getsockopt(SO_PEERNAME)");
  return std::string(reinterpret_cast<const char*>(&address), length);
}

Result<std::string> peer_address(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    if (errno == ENOTCONN) return std::string();
    return last_error("getpeername");
  }
  return std::string(reinterpret_cast<const char*>(&address), length);
}

}  // namespace godwit::sys
