// Packet sockets: protocol, interface, options, filters, and what they make the interface receive (promiscuous mode and
// addresses). What has come in and is not read is lost, as when a queue is full. Those with rings shared with the
// kernel, or that share their packets in a group, do not move. Source: packet(7), sock_diag(7), Linux
// net/packet/af_packet.c.
#include <fcntl.h>
#include <sys/socket.h>

#include "objects/description.h"
#include "objects/sockets.h"
#include "sys/packet_name.h"
#include "sys/socket_filter.h"
#include "sys/socket_state.h"

namespace godwit::objects {

namespace {

constexpr int kMostMemberships = 1 << 16;  // of one kind, counted together

}  // namespace

Captured capture_packet_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  const char* const remedy = "have the program close it before the move";
  int fd = open.copy.get();
  sys::SocketShape shape = TRY(sys::shape_of(fd));
  auto filter = sys::read_filter(fd);
  if (!filter) return Unsupported{"socket.filter", "packet socket with a BPF filter that cannot be read", remedy};
  auto record = TRY(tools.sockets.packet_socket(open.status.st_ino));
  if (!record) return Unsupported{"socket.packet", "packet socket that the kernel does not describe", remedy};
  if (record->ring) return Unsupported{"socket.packet.ring", "packet socket with a ring in its memory", remedy};
  if (record->fanout) return Unsupported{"socket.packet.fanout", "packet socket of a fanout group", remedy};
  image::PacketSocket& socket = *into.mutable_packet_socket();
  socket.set_type(static_cast<uint32_t>(shape.type));
  if (tools.depth == Depth::plan) return std::optional<Unsupported>();
  sys::PacketName name = TRY(sys::packet_name(fd));
  socket.set_protocol(name.protocol);
  socket.set_interface(name.interface);
  socket.set_filter(std::move(*filter));
  socket.set_filter_locked(TRY(sys::filter_is_locked(fd)));
  socket.set_uid(open.status.st_uid);
  socket.set_gid(open.status.st_gid);
  TRY(tools.sockets.add_options(fd, *socket.mutable_options(), shape));
  for (sys::PacketMembership& membership : record->memberships) {
    image::PacketMembership& told = *socket.add_memberships();
    told.set_interface(membership.interface);
    told.set_type(membership.type);
    told.set_address(std::move(membership.address));
    told.set_count(membership.count);
  }
  return std::optional<Unsupported>();
}

// Without a protocol nothing comes in.
Result<UniqueFd> restore_packet_socket(const image::Description& description, RestoreTools& tools) {
  const image::PacketSocket& socket = description.packet_socket();
  sys::SocketShape shape{AF_PACKET, static_cast<int>(socket.type()), 0};
  bool known = (shape.type == SOCK_RAW || shape.type == SOCK_DGRAM) && socket.protocol() <= 0xffff;
  if (!known) return error(ErrorKind::corrupt, "a packet socket of an impossible kind");
  if (tools.owner.uid != 0) return error(ErrorKind::denied, "the job's owner may not have packet sockets");
  UniqueFd fd = TRY(sys::make_socket(shape));
  TRY(sys::set_socket_owner(fd.get(), socket.uid(), socket.gid()));
  TRY(sys::set_options(fd.get(), shape, options_of(socket.options())));
  int left = kMostMemberships;
  for (const image::PacketMembership& membership : socket.memberships()) {
    bool sound = membership.type() <= 0xffff && membership.count() <= static_cast<uint32_t>(left);
    if (!sound) return error(ErrorKind::corrupt, "an impossible membership of a packet socket");
    left -= static_cast<int>(membership.count());
    sys::PacketMembership wanted{membership.interface(), static_cast<uint16_t>(membership.type()), 1,
                                 membership.address()};
    for (uint32_t i = 0; i < membership.count(); ++i) TRY(sys::join_packets(fd.get(), wanted));
  }
  TRY(sys::set_file_flags(fd.get(), description.flags() & (O_NONBLOCK | O_ASYNC)));
  return fd;
}

Result<void> hear_again(int fd, const image::PacketSocket& socket) {
  TRY(sys::set_filter(fd, socket.filter()));
  if (socket.filter_locked()) TRY(sys::lock_filter(fd));
  return sys::set_packet_name(fd, {static_cast<uint16_t>(socket.protocol()), socket.interface()});
}

}  // namespace godwit::objects
