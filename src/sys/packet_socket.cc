#include "sys/packet_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <ctime>
#include <vector>

#include "sys/errno.h"
#include "sys/socket_filter.h"

namespace godwit::sys {

namespace {

constexpr int kReceiveBytes = 4 << 20;
constexpr uint32_t kDrop = 0;

uint32_t word_of(const IpAddress& address, size_t number) {
  uint32_t word = 0;
  std::memcpy(&word, address.bytes.data() + sizeof word * number, sizeof word);
  return ntohl(word);
}

// Lets in a packet of the address' version in which it stands at one of two places; anything else goes on to what
// follows. Each comparison but the last of a place goes on with the next word.
void let_in(std::vector<sock_filter>& program, const IpAddress& address) {
  bool version4 = address.family == AF_INET;
  auto words = static_cast<uint8_t>(address.length() / 4);
  auto steps = static_cast<uint8_t>(words * 2);  // of the program, for one place
  program.push_back(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0));
  program.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0));
  program.push_back(
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, version4 ? 0x40u : 0x60u, 0, static_cast<uint8_t>(2 * (steps + 1))));
  for (uint32_t place : version4 ? std::array{12u, 16u} : std::array{8u, 24u}) {
    for (uint8_t word = 0; word < words; ++word) {
      auto rest = static_cast<uint8_t>(steps - 2 * word - 2);  // steps to the end of this place
      program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place + 4u * word));
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word_of(address, word), 0, static_cast<uint8_t>(rest + 1)));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, PacketSocket::kHeadBytes));
  }
}

Result<void> attach_filter(int fd, std::span<const IpAddress> addresses) {
  std::vector<sock_filter> program;
  for (const IpAddress& address : addresses) let_in(program, address);
  program.push_back(BPF_STMT(BPF_RET | BPF_K, kDrop));
  return set_filter(fd, std::string(reinterpret_cast<const char*>(program.data()), program.size() * sizeof program[0]));
}

int64_t time_of(msghdr& message) {
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec time{};
    std::memcpy(&time, CMSG_DATA(each), sizeof time);
    return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  }
  return 0;
}

}  // namespace

Result<PacketSocket> PacketSocket::open(std::span<const IpAddress> addresses) {
  // Without a protocol nothing comes in before the filter is there.
  UniqueFd fd(TRY(checked(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket(AF_PACKET)")));
  TRY(attach_filter(fd.get(), addresses));
  const int on = 1;
  TRY(checked_void(::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on), "setsockopt(SO_TIMESTAMPNS)"));
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof kReceiveBytes);
  sockaddr_ll everywhere{};
  everywhere.sll_family = AF_PACKET;
  everywhere.sll_protocol = htons(ETH_P_ALL);
  TRY(checked_void(::bind(fd.get(), reinterpret_cast<sockaddr*>(&everywhere), sizeof everywhere), "bind(AF_PACKET)"));
  return PacketSocket(std::move(fd));
}

Result<std::optional<SeenPacket>> PacketSocket::receive(std::chrono::milliseconds patience) {
  pollfd waiting{fd_.get(), POLLIN, 0};
  int ready = ::poll(&waiting, 1, static_cast<int>(patience.count()));
  if (ready == 0 || (ready < 0 && errno == EINTR)) return std::nullopt;
  TRY(checked(ready, "poll"));
  SeenPacket packet;
  packet.head.resize(kHeadBytes);
  sockaddr_ll where{};
  std::array<char, 128> control{};
  iovec space{packet.head.data(), packet.head.size()};
  msghdr message{};
  message.msg_name = &where;
  message.msg_namelen = sizeof where;
  message.msg_iov = &space;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = ::recvmsg(fd_.get(), &message, 0);
  if (got < 0 && (errno == EAGAIN || errno == ENETDOWN)) return std::nullopt;  // an interface has gone
  packet.head.resize(static_cast<size_t>(TRY(checked(got, "recvmsg(AF_PACKET)"))));
  packet.unix_ns = time_of(message);
  packet.interface = static_cast<unsigned>(where.sll_ifindex);
  packet.outgoing = where.sll_pkttype == PACKET_OUTGOING;
  return packet;
}

Result<uint32_t> PacketSocket::missed() {
  tpacket_stats counts{};
  socklen_t size = sizeof counts;
  TRY(checked_void(::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &counts, &size),
                   "getsockopt(PACKET_STATISTICS)"));
  return counts.tp_drops;
}

}  // namespace godwit::sys
