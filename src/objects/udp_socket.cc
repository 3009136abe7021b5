// UDP and UDP-Lite sockets: addresses, connected ones, options, multicast groups, what was received and not yet read.
// The queued datagrams are delivered again, from the addresses they came from, before anybody else can send. Source:
// udp(7), raw(7).
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "objects/description.h"
#include "objects/sockets.h"
#include "sys/datagrams.h"
#include "sys/multicast.h"
#include "sys/socket_filter.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"

namespace godwit::objects {

Captured capture_udp_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  int fd = open.copy.get();
  sys::SocketShape shape = TRY(sys::shape_of(fd));
  auto filter = sys::read_filter(fd);
  if (!filter) return unreadable_filter("UDP socket");
  image::UdpSocket& socket = *into.mutable_udp_socket();
  socket.set_family(static_cast<uint32_t>(shape.family));
  socket.set_protocol(static_cast<uint32_t>(shape.protocol));
  if (tools.depth == Depth::plan) {
    TRY(tools.sockets.know_options(fd, open.status.st_ino, shape));
    return std::optional<Unsupported>();
  }
  socket.set_filter(std::move(*filter));
  socket.set_uid(open.status.st_uid);
  socket.set_gid(open.status.st_gid);
  socket.set_address(TRY(sys::own_address(fd)));
  socket.set_peer(TRY(sys::peer_address(fd)));
  socket.set_shut_down(!socket.peer().empty() && sys::receives_no_more(fd));
  TRY(tools.sockets.add_options(fd, *socket.mutable_options(), shape, open.status.st_ino));
  TRY(tools.sockets.add_memberships(fd, shape.family, *socket.mutable_memberships()));
  for (sys::Datagram& datagram : TRY(sys::peek_datagrams(fd))) {
    image::Datagram& told = *socket.add_datagrams();
    told.set_from(std::move(datagram.from));
    told.set_content(std::move(datagram.content));
  }
  return std::optional<Unsupported>();
}

namespace {

// Where a datagram has to go: the socket's address, or the loopback address when it listens to all.
std::string delivery_address(const std::string& bound, const std::string& from) {
  if (bound.size() < sizeof(sockaddr_in6)) {
    sockaddr_in four{};
    std::memcpy(&four, bound.data(), std::min(bound.size(), sizeof four));
    if (four.sin_addr.s_addr == INADDR_ANY) four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return std::string(reinterpret_cast<const char*>(&four), sizeof four);
  }
  sockaddr_in6 six{};
  std::memcpy(&six, bound.data(), sizeof six);
  sockaddr_in6 source{};
  std::memcpy(&source, from.data(), std::min(from.size(), sizeof source));
  if (IN6_IS_ADDR_V4MAPPED(&source.sin6_addr)) {
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = six.sin6_port;
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) std::memcpy(&four.sin_addr, &six.sin6_addr.s6_addr[12], 4);
    return std::string(reinterpret_cast<const char*>(&four), sizeof four);
  }
  if (IN6_IS_ADDR_UNSPECIFIED(&six.sin6_addr)) six.sin6_addr = in6addr_loopback;
  return std::string(reinterpret_cast<const char*>(&six), sizeof six);
}

Result<void> put_datagrams(int fd, const image::UdpSocket& socket) {
  if (socket.datagrams().empty()) return {};
  constexpr int kRoom = 64 << 20;
  TRY(sys::enlarge_receive_buffer(fd, kRoom));
  for (const image::Datagram& datagram : socket.datagrams()) {
    sys::Datagram sent{sys::unmapped(datagram.from()), datagram.content()};
    std::string to = delivery_address(socket.address(), datagram.from());
    TRY(sys::deliver_datagram(static_cast<uint8_t>(socket.protocol()), sent, to));
  }
  return {};
}

}  // namespace

Result<UniqueFd> restore_udp_socket(const image::Description& description, RestoreTools& tools) {
  const image::UdpSocket& socket = description.udp_socket();
  bool known = (socket.family() == AF_INET || socket.family() == AF_INET6) &&
               (socket.protocol() == IPPROTO_UDP || socket.protocol() == IPPROTO_UDPLITE);
  if (!known) return error(ErrorKind::corrupt, "a UDP socket of an impossible kind");
  sys::SocketShape shape{static_cast<int>(socket.family()), SOCK_DGRAM, static_cast<int>(socket.protocol())};
  UniqueFd fd = TRY(sys::make_socket(shape));
  bool root = tools.owner.uid == 0;
  TRY(sys::set_socket_owner(fd.get(), root ? socket.uid() : tools.owner.uid, root ? socket.gid() : tools.owner.gid));
  auto options = options_of(socket.options());
  TRY(sys::set_options(fd.get(), shape, options, sys::OptionTime::before_bind));
  if (sys::port_of(socket.address()) != 0) {
    TRY(sys::set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1));  // others of the job may have the same port
    TRY(sys::bind_to(fd.get(), socket.address()));
    TRY(sys::set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 0));
    TRY(put_datagrams(fd.get(), socket));
  }
  if (!socket.peer().empty()) TRY(sys::connect_to(fd.get(), socket.peer()));
  TRY(sys::set_options(fd.get(), shape, options, sys::OptionTime::after_bind));
  TRY(join_groups(fd.get(), shape.family, socket.memberships()));
  TRY(sys::set_filter(fd.get(), socket.filter()));
  TRY(sys::shut_down(fd.get(), socket.shut_down(), socket.shut_down()));
  TRY(sys::set_file_flags(fd.get(), description.flags() & (O_NONBLOCK | O_ASYNC)));
  return fd;
}

}  // namespace godwit::objects
