// Raw sockets of IPv4 and IPv6, and the datagram sockets of ICMP (ping): addresses, options, filters, groups. What has
// come in and is not read cannot be read without being taken: it is waited for (see migration/stop.h), and lost
// where it does not end, as when a queue is full. Source: raw(7), icmp(7), socket(7), Linux net/ipv4/raw.c,
// net/ipv4/ping.c.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "objects/description.h"
#include "objects/sockets.h"
#include "sys/multicast.h"
#include "sys/ping_groups.h"
#include "sys/socket_filter.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"

namespace godwit::objects {

Captured capture_raw_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  int fd = open.copy.get();
  sys::SocketShape shape = TRY(sys::shape_of(fd));
  auto filter = sys::read_filter(fd);
  if (!filter) return unreadable_filter("raw socket");
  image::RawSocket& socket = *into.mutable_raw_socket();
  socket.set_family(static_cast<uint32_t>(shape.family));
  socket.set_type(static_cast<uint32_t>(shape.type));
  socket.set_protocol(static_cast<uint32_t>(shape.protocol));
  tools.to_be_read.push_back({open.pidfd, open.number, open.link, true});
  if (tools.depth == Depth::plan) return std::optional<Unsupported>();
  socket.set_filter(std::move(*filter));
  socket.set_filter_locked(TRY(sys::filter_is_locked(fd)));
  socket.set_uid(open.status.st_uid);
  socket.set_gid(open.status.st_gid);
  socket.set_address(TRY(sys::own_address(fd)));
  socket.set_peer(TRY(tools.sockets.raw_peer(shape, open.status.st_ino)));
  socket.set_shut_down(!socket.peer().empty() && sys::receives_no_more(fd));
  if (shape.type == SOCK_DGRAM) socket.set_ping_groups(TRY(tools.sockets.ping_groups()));
  TRY(tools.sockets.add_options(fd, *socket.mutable_options(), shape));
  TRY(tools.sockets.add_memberships(fd, shape.family, *socket.mutable_memberships()));
  return std::optional<Unsupported>();
}

namespace {

bool is_known(const sys::SocketShape& shape) {
  if (shape.family != AF_INET && shape.family != AF_INET6) return false;
  int ping = shape.family == AF_INET ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
  return shape.type == SOCK_RAW || (shape.type == SOCK_DGRAM && shape.protocol == ping);
}

}  // namespace

Result<UniqueFd> restore_raw_socket(const image::Description& description, RestoreTools& tools) {
  const image::RawSocket& socket = description.raw_socket();
  sys::SocketShape shape{static_cast<int>(socket.family()), static_cast<int>(socket.type()),
                         static_cast<int>(socket.protocol())};
  if (!is_known(shape)) return error(ErrorKind::corrupt, "a raw socket of an impossible kind");
  bool root = tools.owner.uid == 0;
  if (shape.type == SOCK_RAW && !root) return error(ErrorKind::denied, "the job's owner may not have raw sockets");
  if (shape.type == SOCK_DGRAM) TRY(sys::set_ping_groups(socket.ping_groups()));
  UniqueFd fd = TRY(sys::make_socket(shape));
  TRY(sys::let_nothing_in(fd.get()));
  TRY(sys::set_socket_owner(fd.get(), root ? socket.uid() : tools.owner.uid, root ? socket.gid() : tools.owner.gid));
  auto options = options_of(socket.options());
  TRY(sys::set_options(fd.get(), shape, options, sys::OptionTime::before_bind));
  // The port of a raw socket is its protocol, that of a ping socket what its messages bear.
  TRY(sys::bind_to(fd.get(), socket.address()));
  if (!socket.peer().empty()) TRY(sys::connect_to(fd.get(), socket.peer()));
  TRY(sys::set_options(fd.get(), shape, options, sys::OptionTime::after_bind));
  TRY(join_groups(fd.get(), shape.family, socket.memberships()));
  TRY(sys::shut_down(fd.get(), socket.shut_down(), socket.shut_down()));
  TRY(sys::set_file_flags(fd.get(), description.flags() & (O_NONBLOCK | O_ASYNC)));
  return fd;
}

Result<void> hear_again(int fd, const image::RawSocket& socket) {
  TRY(socket.filter().empty() ? sys::remove_filter(fd) : sys::set_filter(fd, socket.filter()));
  return socket.filter_locked() ? sys::lock_filter(fd) : Result<void>();
}

}  // namespace godwit::objects
