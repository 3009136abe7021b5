// Listening TCP sockets, with the connections that wait to be accepted.
//
// Those are accepted at the source in the program's place, and put into the queue of the new socket after the
// switchover (sys/accept_queue.h); when the job stays, into that of the old one. A connection that its peer has reset
// meanwhile is forgotten, as accept(2) may. Source: tcp(7), listen(2).
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "objects/description.h"
#include "objects/sockets.h"
#include "objects/tcp_connection.h"
#include "sys/socket_filter.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"

namespace godwit::objects {

namespace {

std::optional<Unsupported> what_blocks(const sys::SocketShape& shape, uint32_t waiting, SocketCapture& sockets,
                                       bool filter_known) {
  if (!filter_known) return unreadable_filter("listening TCP socket");
  if (waiting == 0) return std::nullopt;
  bool can_wait = shape.protocol != IPPROTO_MPTCP && sockets.accept_queue() != nullptr;
  if (can_wait) return std::nullopt;
  return Unsupported{"socket.tcp.accept_queue", "a listening socket with connections waiting to be accepted",
                     "try again when the program has accepted them"};
}

}  // namespace

Captured capture_tcp_listener(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  int fd = open.copy.get();
  sys::SocketShape shape = TRY(sys::shape_of(fd));
  sys::ListenerState state = TRY(sys::listener_state(fd));
  auto filter = sys::read_filter(fd);
  if (tools.depth == Depth::plan) (void)tools.sockets.accept_queue();  // made ready before the freeze
  if (auto blocked = what_blocks(shape, state.waiting, tools.sockets, filter.has_value())) return blocked;
  image::TcpListener& listener = *into.mutable_tcp_listener();
  listener.set_family(static_cast<uint32_t>(shape.family));
  listener.set_protocol(static_cast<uint32_t>(shape.protocol));
  if (tools.depth == Depth::plan) return std::optional<Unsupported>();
  listener.set_address(TRY(sys::own_address(fd)));
  listener.set_backlog(state.backlog);
  listener.set_filter(std::move(*filter));
  listener.set_uid(open.status.st_uid);
  listener.set_gid(open.status.st_gid);
  TRY(tools.sockets.add_options(fd, *listener.mutable_options(), shape));
  TRY(tools.sockets.note_requests(fd));
  if (state.waiting == 0) return std::optional<Unsupported>();
  for (sys::TcpConnection& connection : TRY(tools.sockets.take_waiting(fd))) {
    image::TcpSocket& socket = *listener.add_waiting();
    socket.set_state(static_cast<uint32_t>(connection.state));
    tell(std::move(connection), socket);
  }
  return std::optional<Unsupported>();
}

Result<UniqueFd> restore_tcp_listener(const image::Description& description, RestoreTools& tools) {
  const image::TcpListener& listener = description.tcp_listener();
  sys::SocketShape shape{static_cast<int>(listener.family()), SOCK_STREAM, static_cast<int>(listener.protocol())};
  bool known = (shape.family == AF_INET || shape.family == AF_INET6) &&
               (shape.protocol == IPPROTO_TCP || shape.protocol == IPPROTO_MPTCP);
  if (!known) return error(ErrorKind::corrupt, "a listening TCP socket of an impossible kind");
  UniqueFd fd = TRY(sys::make_socket(shape));
  bool root = tools.owner.uid == 0;
  TRY(sys::set_socket_owner(fd.get(), root ? listener.uid() : tools.owner.uid,
                            root ? listener.gid() : tools.owner.gid));
  auto options = options_of(listener.options());
  TRY(sys::set_options(fd.get(), shape, options, sys::OptionTime::before_bind));
  TRY(sys::set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1));  // the real value comes with the other options
  if (sys::port_of(listener.address()) != 0) TRY(sys::bind_to(fd.get(), listener.address()));
  TRY(sys::listen_on(fd.get(), static_cast<int>(listener.backlog())));
  TRY(sys::set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 0));
  TRY(sys::set_options(fd.get(), shape, options, sys::OptionTime::after_bind));
  TRY(sys::set_filter(fd.get(), listener.filter()));
  TRY(sys::set_file_flags(fd.get(), description.flags() & (O_NONBLOCK | O_ASYNC)));
  return fd;
}

}  // namespace godwit::objects
