// What kind of socket it is decides who captures it; those that do not move are refused by name. Source: socket(7).
#include <sys/socket.h>

#include "objects/description.h"
#include "sys/socket_state.h"

namespace godwit::objects {

Unsupported unreadable_filter(const std::string& kind) {
  return {"socket.filter", kind + " with a BPF filter that cannot be read",
          "have the program remove it before the move"};
}

Captured capture_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  into.set_flags(open.info.flags);
  sys::SocketKind kind = TRY(sys::socket_kind(open.copy.get()));
  if (kind.shape.family == AF_UNIX) return capture_unix_socket(open, tools, into);
  if (!TRY(tools.sockets.of_the_job(open.copy.get()))) {
    return Unsupported{"socket.network", "socket of another network namespace: " + kind.description,
                       "have the program make it inside the job"};
  }
  if (kind.is_tcp && kind.listening) return capture_tcp_listener(open, tools, into);
  if (kind.is_tcp) return capture_tcp_socket(open, kind, tools, into);
  if (kind.shape.family == AF_NETLINK) return capture_netlink_socket(open, tools, into);
  if (kind.is_udp) return capture_udp_socket(open, tools, into);
  if (kind.is_raw) return capture_raw_socket(open, tools, into);
  if (kind.shape.family == AF_PACKET) return capture_packet_socket(open, tools, into);
  return Unsupported{"socket." + kind.name, "socket: " + kind.description,
                     "have the program close it before the move; sockets of this kind do not move in this version"};
}

}  // namespace godwit::objects
