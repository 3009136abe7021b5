// Listening TCP sockets, with the connections that wait to be accepted.
//
// Those are accepted at the source in the program's place, and put into the queue of the new socket after the
// switchover (sys/accept_queue.h); when the job stays, into that of the old one. A connection that its peer has reset
// meanwhile is forgotten, as accept(2) may. Where that cannot be done (kernels without the BPF for it; MPTCP, of which
// a connection could not be given back) the move waits until the program has accepted them (migration/stop.h).
// What listened by MPTCP listens by TCP at the destination (docs/decisions/0019-mptcp.md). Source: tcp(7), listen(2).
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

std::optional<Unsupported> what_blocks(uint32_t waiting, bool takes_waiting, bool filter_known) {
  if (!filter_known) return unreadable_filter("listening TCP socket");
  if (waiting == 0 || takes_waiting) return std::nullopt;
  return Unsupported{"socket.tcp.accept_queue", "a listening socket with connections waiting to be accepted",
                     "try again when the program has accepted them", true};
}

}  // namespace

Captured capture_tcp_listener(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  int fd = open.copy.get();
  sys::SocketShape shape = TRY(sys::shape_of(fd));
  sys::ListenerState state = TRY(sys::listener_state(fd));
  auto filter = sys::read_filter(fd);
  if (tools.depth == Depth::plan) (void)tools.sockets.accept_queue();  // made ready before the freeze
  bool takes_waiting = shape.protocol != IPPROTO_MPTCP && tools.sockets.accept_queue() != nullptr;
  if (!takes_waiting) tools.to_be_read.push_back({open.pidfd, open.number, open.link, false});
  if (auto blocked = what_blocks(state.waiting, takes_waiting, filter.has_value())) return blocked;
  image::TcpListener& listener = *into.mutable_tcp_listener();
  listener.set_family(static_cast<uint32_t>(shape.family));
  if (tools.depth == Depth::plan) {
    TRY(tools.sockets.know_options(fd, open.status.st_ino, shape));
    return std::optional<Unsupported>();
  }
  listener.set_address(TRY(sys::own_address(fd)));
  listener.set_backlog(state.backlog);
  listener.set_filter(std::move(*filter));
  listener.set_uid(open.status.st_uid);
  listener.set_gid(open.status.st_gid);
  TRY(tools.sockets.add_options(fd, *listener.mutable_options(), shape, open.status.st_ino));
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
  sys::SocketShape shape{static_cast<int>(listener.family()), SOCK_STREAM, IPPROTO_TCP};
  bool known = shape.family == AF_INET || shape.family == AF_INET6;
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
