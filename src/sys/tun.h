// TUN and TAP: interfaces of which a program has the other end, as a descriptor of /dev/net/tun. An interface that is
// not persistent goes with the last descriptor that is attached to it. Source: Documentation/networking/tuntap.rst,
// Linux 6.18 drivers/net/tun.c (__tun_chr_ioctl, tun_set_iff).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

bool is_tun(const struct stat& status);

struct TunEnd {
  std::string interface;
  uint32_t flags = 0;  // IFF_TUN or IFF_TAP, IFF_NO_PI, IFF_PERSIST, ...
};
// What a descriptor is attached to. Nothing: to no interface.
Result<std::optional<TunEnd>> tun_end(int fd);
// The network namespace in which it was opened.
Result<UniqueFd> network_of_tun(int fd);
// Bytes that may be on their way to the kernel.
Result<int> tun_send_buffer(int fd);

// What it should be like besides what it was made with: persistent or not, and its send buffer.
Result<void> set_tun(int fd, const TunEnd& end, int send_buffer);

// A persistent interface of the calling thread's network namespace, and its program's end. `owner`, `group`: who may
// attach to it without privilege; nothing: nobody. While nobody has the end the kernel drops what is sent by the
// interface, and for a moment after somebody has it again.
Result<UniqueFd> make_tun(const TunEnd& end, uint32_t index, std::optional<uint32_t> owner,
                          std::optional<uint32_t> group);

}  // namespace godwit::sys
