// Netlink sockets that speak with the kernel about the job's own network (NETLINK_ROUTE, NETLINK_SOCK_DIAG): port,
// groups, options. What is queued in one comes from the kernel alone and could not be put back: it is waited for.
// Source: netlink(7), rtnetlink(7), sock_diag(7).
#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "objects/description.h"
#include "objects/sockets.h"
#include "sys/netlink_name.h"
#include "sys/socket_filter.h"
#include "sys/socket_state.h"
#include "sys/stream_socket.h"

namespace godwit::objects {

namespace {

// Whose state in the kernel is the socket's name and options.
bool moves(int protocol) { return protocol == NETLINK_ROUTE || protocol == NETLINK_SOCK_DIAG; }

}  // namespace

Captured capture_netlink_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  int fd = open.copy.get();
  sys::SocketShape shape = TRY(sys::shape_of(fd));
  auto filter = sys::read_filter(fd);
  sys::NetlinkPeer peer = TRY(sys::netlink_peer(fd));
  if (!moves(shape.protocol) || !filter || peer.port != 0 || peer.groups != 0) {
    return Unsupported{"socket.netlink", "netlink socket of protocol " + std::to_string(shape.protocol),
                       "have the program close it before the move; those of NETLINK_ROUTE and NETLINK_SOCK_DIAG that "
                       "speak with the kernel move"};
  }
  tools.to_be_read.push_back({open.pidfd, open.number, open.link, false});
  if (TRY(sys::readable_now(fd))) {
    return Unsupported{"socket.netlink.queue", "netlink socket with messages of the kernel that are not read",
                       "try again when the program has read them", true};
  }
  image::NetlinkSocket& socket = *into.mutable_netlink_socket();
  socket.set_protocol(static_cast<uint32_t>(shape.protocol));
  socket.set_type(static_cast<uint32_t>(shape.type));
  if (tools.depth == Depth::plan) return std::optional<Unsupported>();
  sys::NetlinkName name = TRY(sys::netlink_name(fd));
  socket.set_port(name.port);
  socket.mutable_groups()->Assign(name.groups.begin(), name.groups.end());
  socket.set_filter(std::move(*filter));
  socket.set_uid(open.status.st_uid);
  socket.set_gid(open.status.st_gid);
  TRY(tools.sockets.add_options(fd, *socket.mutable_options(), shape));
  return std::optional<Unsupported>();
}

Result<UniqueFd> restore_netlink_socket(const image::Description& description, RestoreTools& tools) {
  const image::NetlinkSocket& socket = description.netlink_socket();
  sys::SocketShape shape{AF_NETLINK, static_cast<int>(socket.type()), static_cast<int>(socket.protocol())};
  bool known = moves(shape.protocol) && (shape.type == SOCK_RAW || shape.type == SOCK_DGRAM);
  if (!known) return error(ErrorKind::corrupt, "a netlink socket of an impossible kind");
  UniqueFd fd = TRY(sys::make_socket(shape));
  bool root = tools.owner.uid == 0;
  TRY(sys::set_socket_owner(fd.get(), root ? socket.uid() : tools.owner.uid, root ? socket.gid() : tools.owner.gid));
  TRY(sys::set_options(fd.get(), shape, options_of(socket.options())));
  TRY(sys::set_filter(fd.get(), socket.filter()));
  TRY(sys::set_netlink_name(fd.get(), {socket.port(), {socket.groups().begin(), socket.groups().end()}}));
  TRY(sys::set_file_flags(fd.get(), description.flags() & (O_NONBLOCK | O_ASYNC)));
  return fd;
}

}  // namespace godwit::objects
