// A program's end of a TUN or TAP interface. The interface itself is made with the others of the job's network, and its
// end kept for the program: were it given up and taken again, packets would be lost (sys/tun.h). What waits to be read
// cannot be put back: it is waited for, and lost where that does not end, as on any link.
#include <fcntl.h>
#include <linux/if_tun.h>

#include "objects/description.h"
#include "objects/sockets.h"
#include "sys/file.h"
#include "sys/tun.h"

namespace godwit::objects {

Captured capture_tun(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  constexpr const char* kCode = "descriptor.tun";
  int fd = open.copy.get();
  into.set_flags(open.info.flags);
  image::TunDevice& device = *into.mutable_tun_device();
  device.set_file(TRY(tools.files.add(fd, open.link, {})));
  if (!TRY(tools.sockets.is_of_the_job(TRY(sys::network_of_tun(fd)).get()))) {
    return Unsupported{kCode, "a TUN or TAP of another network namespace", "have the program open it inside the job"};
  }
  auto end = TRY(sys::tun_end(fd));
  if (!end) return std::optional<Unsupported>();
  constexpr uint32_t kOdd = IFF_MULTI_QUEUE | IFF_VNET_HDR | IFF_NAPI_FRAGS;
  if ((end->flags & kOdd) != 0 || (end->flags & IFF_NOFILTER) == 0) {
    return Unsupported{kCode, "TUN or TAP " + end->interface + " with several queues, virtio headers or a filter",
                       "have the program close it before the move"};
  }
  device.set_interface(end->interface);
  device.set_device_flags(end->flags);
  device.set_send_buffer(TRY(sys::tun_send_buffer(fd)));
  tools.to_be_read.push_back({open.pidfd, open.number, open.link, true});
  return std::optional<Unsupported>();
}

Result<UniqueFd> restore_tun(const image::Description& description, RestoreTools& tools) {
  const image::TunDevice& device = description.tun_device();
  int flags = static_cast<int>(status_flags(description.flags()));
  if (device.interface().empty()) {
    UniqueFd fd = TRY(tools.opener.open(device.file(), flags));
    if (!sys::is_tun(TRY(sys::status_of(fd.get())))) return error(ErrorKind::corrupt, "a TUN or TAP that is none");
    return fd;
  }
  auto end = tools.tun_ends.extract(device.interface());
  if (end.empty()) return error(ErrorKind::corrupt, "a second end of " + device.interface() + ", or of none");
  TRY(sys::set_tun(end.mapped().get(), {device.interface(), device.device_flags()}, device.send_buffer()));
  TRY(sys::set_file_flags(end.mapped().get(), flags & O_NONBLOCK));
  return std::move(end.mapped());
}

}  // namespace godwit::objects
