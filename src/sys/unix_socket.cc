#include "sys/unix_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return error(ErrorKind::unsupported, "socket path too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<void> wait_for(int fd, short events, int timeout_ms) {
  pollfd one{fd, events, 0};
  int ready = ::poll(&one, 1, timeout_ms);
  if (ready < 0 && errno != EINTR) return last_error("poll");
  if (ready == 0) return error(ErrorKind::exhausted, "no answer in time");
  return {};
}

}  // namespace

Result<UniqueFd> listen_unix(const std::string& path) {
  sockaddr_un address = TRY(address_of(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return last_error("socket");
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return last_error("bind", path);
  if (::chmod(path.c_str(), 0600) != 0) return last_error("chmod", path);
  if (::listen(fd.get(), 64) != 0) return last_error("listen", path);
  return fd;
}

Result<UniqueFd> accept_unix(int listening, int timeout_ms) {
  TRY(wait_for(listening, POLLIN, timeout_ms));
  UniqueFd fd(::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd.valid()) return last_error("accept");
  return fd;
}

Result<UniqueFd> connect_unix(const std::string& path) {
  sockaddr_un address = TRY(address_of(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return last_error("socket");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return last_error("connect", path);
  }
  return fd;
}

Result<SocketPair> unix_pair() { return unix_pair_of(SOCK_STREAM); }

Result<SocketPair> unix_pair_of(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) return last_error("socketpair");
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<void> send_whole(int fd, std::span<const std::byte> bytes, int timeout_ms) {
  while (!bytes.empty()) {
    ssize_t count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) {
      TRY(wait_for(fd, POLLOUT, timeout_ms));
      continue;
    }
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_error("send");
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

Result<void> receive_whole(int fd, std::span<std::byte> into, int timeout_ms) {
  while (!into.empty()) {
    ssize_t count = ::recv(fd, into.data(), into.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) {
      TRY(wait_for(fd, POLLIN, timeout_ms));
      continue;
    }
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_error("recv");
    if (count == 0) return error(ErrorKind::peer_lost, "the other side closed the connection");
    into = into.subspan(static_cast<size_t>(count));
  }
  return {};
}

}  // namespace godwit::sys
