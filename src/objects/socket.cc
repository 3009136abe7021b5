// What kind of socket it is decides who captures it. Here: listening TCP sockets, and the refusal by name of those
// that do not move. Source: tcp(7), socket(7).
#include <fcntl.h>
#include <sys/socket.h>

#include "objects/description.h"
#include "sys/socket_state.h"

namespace godwit::objects {

Captured capture_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  into.set_flags(open.info.flags);
  sys::SocketKind kind = TRY(sys::socket_kind(open.copy.get()));
  if (kind.family == AF_UNIX) return capture_unix_socket(open, tools, into);
  if (!TRY(tools.sockets.of_the_job(open.copy.get()))) {
    return Unsupported{"socket.network", "socket of another network namespace: " + kind.description,
                       "have the program make it inside the job"};
  }
  if (kind.is_tcp && !kind.listening) return capture_tcp_socket(open, tools, into);
  if (kind.is_udp) return capture_udp_socket(open, tools, into);
  if (kind.is_tcp) {
    sys::ListenerState state = TRY(sys::listener_state(open.copy.get()));
    image::TcpListener& listener = *into.mutable_tcp_listener();
    listener.set_family(kind.family);
    listener.set_address(state.address);
    listener.set_backlog(state.backlog);
    for (const sys::SocketOptionValue& value : state.options) {
      image::SocketOption& option = *listener.add_options();
      option.set_level(value.level);
      option.set_name(value.name);
      option.set_value(value.bytes);
    }
    if (state.waiting > 0) {
      return Unsupported{"socket.tcp.accept_queue", "a listening socket with connections waiting to be accepted",
                         "try again when the program has accepted them"};
    }
    return std::optional<Unsupported>();
  }
  return Unsupported{"socket." + kind.name, "socket: " + kind.description,
                     "have the program close it before the move; sockets of this kind do not move in this version"};
}

Result<UniqueFd> restore_socket(const image::Description& description, RestoreTools&) {
  const image::TcpListener& listener = description.tcp_listener();
  sys::ListenerState state{listener.address(), listener.backlog(), 0, {}};
  for (const image::SocketOption& option : listener.options()) {
    state.options.push_back({option.level(), option.name(), option.value()});
  }
  return sys::make_listener(listener.family(), state, static_cast<int>(description.flags() & O_NONBLOCK));
}

}  // namespace godwit::objects
