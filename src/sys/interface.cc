#include "sys/interface.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "base/unique_fd.h"
#include "sys/errno.h"

namespace godwit::sys {

Result<void> bring_interface_up(const std::string& name) {
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return last_error("socket");
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), sizeof request.ifr_name - 1);
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return last_error("ioctl(SIOCGIFFLAGS)", name);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  return checked_void(::ioctl(socket.get(), SIOCSIFFLAGS, &request), "ioctl(SIOCSIFFLAGS)");
}

}  // namespace godwit::sys
