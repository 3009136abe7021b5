#include "sys/reserved_port.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

Result<void> bind_everywhere(int fd, int family, uint16_t port) {
  sockaddr_in version4{};
  version4.sin_family = AF_INET;
  version4.sin_port = htons(port);
  sockaddr_in6 version6{};
  version6.sin6_family = AF_INET6;
  version6.sin6_port = htons(port);
  bool old = family == AF_INET;
  const void* address = old ? static_cast<const void*>(&version4) : &version6;
  if (::bind(fd, static_cast<const sockaddr*>(address), old ? sizeof version4 : sizeof version6) == 0) return {};
  if (errno == EADDRINUSE) return error(ErrorKind::conflict, "another program uses port " + std::to_string(port));
  return last_error("bind");
}

}  // namespace

// Connections that are merely being forgotten (TIME_WAIT) must not count, which is what SO_REUSEADDR is for; it is
// taken back so that nobody else can listen.
Result<UniqueFd> reserve_port(Transport transport, uint16_t port) {
  int type = (transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC;
  int family = AF_INET6;
  UniqueFd fd(::socket(family, type, 0));
  if (!fd.valid()) fd = UniqueFd(::socket(family = AF_INET, type, 0));
  if (!fd.valid()) return last_error("socket");
  int on = 1, off = 0;
  if (family == AF_INET6)
    TRY(checked_void(::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), "IPV6_V6ONLY"));
  if (transport == Transport::udp) {
    TRY(bind_everywhere(fd.get(), family, port));
    return fd;
  }
  TRY(checked_void(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR"));
  TRY(bind_everywhere(fd.get(), family, port));
  TRY(checked_void(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &off, sizeof off), "SO_REUSEADDR"));
  return fd;
}

}  // namespace godwit::sys
