#include "sys/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

constexpr unsigned kMajor = 10, kMinor = 200;  // Documentation/admin-guide/devices.txt
// Those that TUNSETIFF takes and that say what the interface is like.
constexpr uint32_t kKept = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_NAPI;

Result<ifreq> request_of(const TunEnd& end) {
  ifreq request{};
  uint32_t kind = end.flags & (IFF_TUN | IFF_TAP);
  bool known = kind == IFF_TUN || kind == IFF_TAP;
  if (!known || end.interface.empty() || end.interface.size() >= IFNAMSIZ) {
    return error(ErrorKind::corrupt, "an impossible TUN or TAP interface");
  }
  std::ranges::copy(end.interface, request.ifr_name);
  request.ifr_flags = static_cast<short>(end.flags & kKept);
  return request;
}

Result<void> set_persistent(int fd, bool persistent) {
  return checked_void(::ioctl(fd, TUNSETPERSIST, persistent ? 1 : 0), "ioctl(TUNSETPERSIST)");
}

}  // namespace

bool is_tun(const struct stat& status) {
  return S_ISCHR(status.st_mode) && major(status.st_rdev) == kMajor && minor(status.st_rdev) == kMinor;
}

Result<std::optional<TunEnd>> tun_end(int fd) {
  ifreq request{};
  if (::ioctl(fd, TUNGETIFF, &request) != 0) {
    if (errno == EBADFD) return std::optional<TunEnd>();
    return last_error("ioctl(TUNGETIFF)");
  }
  request.ifr_name[IFNAMSIZ - 1] = 0;
  return std::optional(TunEnd{request.ifr_name, static_cast<uint16_t>(request.ifr_flags)});
}

Result<UniqueFd> network_of_tun(int fd) {
  UniqueFd network(::ioctl(fd, SIOCGSKNS));
  if (!network.valid()) return last_error("ioctl(SIOCGSKNS)");
  return network;
}

Result<int> tun_send_buffer(int fd) {
  int bytes = 0;
  TRY(checked_void(::ioctl(fd, TUNGETSNDBUF, &bytes), "ioctl(TUNGETSNDBUF)"));
  return bytes;
}

Result<void> set_tun(int fd, const TunEnd& end, int send_buffer) {
  TRY(checked_void(::ioctl(fd, TUNSETSNDBUF, &send_buffer), "ioctl(TUNSETSNDBUF)"));
  return set_persistent(fd, (end.flags & IFF_PERSIST) != 0);
}

Result<UniqueFd> make_tun(const TunEnd& end, uint32_t index, std::optional<uint32_t> owner,
                          std::optional<uint32_t> group) {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", "/dev/net/tun");
  ifreq request = TRY(request_of(end));
  TRY(checked_void(::ioctl(fd.get(), TUNSETIFINDEX, &index), "ioctl(TUNSETIFINDEX)").within(end.interface));
  TRY(checked_void(::ioctl(fd.get(), TUNSETIFF, &request), "ioctl(TUNSETIFF)").within(end.interface));
  if (owner) TRY(checked_void(::ioctl(fd.get(), TUNSETOWNER, *owner), "ioctl(TUNSETOWNER)"));
  if (group) TRY(checked_void(::ioctl(fd.get(), TUNSETGROUP, *group), "ioctl(TUNSETGROUP)"));
  TRY(set_persistent(fd.get(), true));
  return fd;
}

}  // namespace godwit::sys
