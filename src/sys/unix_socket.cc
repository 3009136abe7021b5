#include "sys/unix_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<UniqueFd> connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return error(ErrorKind::corrupt, path + " is too long for a socket");
  path.copy(address.sun_path, path.size());
  UniqueFd fd(TRY(checked(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")));
  TRY(checked_void(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "connect").within(path));
  return fd;
}

}  // namespace godwit::sys
