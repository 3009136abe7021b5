#include "sys/interface.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "base/unique_fd.h"
#include "sys/errno.h"

namespace godwit::sys {

namespace {

struct Interface {
  UniqueFd socket;
  ifreq request{};
};

Result<Interface> name_interface(const std::string& name) {
  Interface interface{UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))};
  if (!interface.socket.valid()) return last_error("socket");
  std::strncpy(interface.request.ifr_name, name.c_str(), sizeof interface.request.ifr_name - 1);
  return interface;
}

}  // namespace

Result<void> bring_interface_up(const std::string& name) {
  auto [socket, request] = TRY(name_interface(name));
  TRY(checked_void(::ioctl(socket.get(), SIOCGIFFLAGS, &request), "ioctl(SIOCGIFFLAGS)"));
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  return checked_void(::ioctl(socket.get(), SIOCSIFFLAGS, &request), "ioctl(SIOCSIFFLAGS)");
}

Result<unsigned> interface_flags(const std::string& name) {
  auto [socket, request] = TRY(name_interface(name));
  TRY(checked_void(::ioctl(socket.get(), SIOCGIFFLAGS, &request), "ioctl(SIOCGIFFLAGS)"));
  return static_cast<uint16_t>(request.ifr_flags);
}

Result<uint32_t> interface_mtu(const std::string& name) {
  auto [socket, request] = TRY(name_interface(name));
  TRY(checked_void(::ioctl(socket.get(), SIOCGIFMTU, &request), "ioctl(SIOCGIFMTU)"));
  return static_cast<uint32_t>(request.ifr_mtu);
}

}  // namespace godwit::sys
