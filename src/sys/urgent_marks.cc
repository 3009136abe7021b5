#include "sys/urgent_marks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "sys/errno.h"
#include "sys/socket_names.h"
#include "sys/urgent_marks_record.h"

extern "C" const std::byte godwit_urgent_marks_program[];
extern "C" const std::byte godwit_urgent_marks_program_end[];

namespace godwit::sys {

namespace {

constexpr uint32_t kUnread = 0x100, kRead = 0x400;  // TCP_URG_VALID, TCP_URG_READ, include/net/tcp.h

Error failed(int negative_errno, const char* call) {
  return Error{kind_of(-negative_errno), -negative_errno, call, "looking for urgent data"};
}

template <class Address>
Address address_in(const std::string& bytes) {
  Address address{};
  std::memcpy(&address, bytes.data(), std::min(bytes.size(), sizeof address));
  return address;
}

// What the program is given: the ends of a connection, as a packet from `peer` would have them.
std::string question(const std::string& local, const std::string& peer) {
  bpf_sock_tuple tuple{};
  size_t size = sizeof tuple.ipv4;
  if (local.size() >= sizeof(sockaddr_in6)) {
    auto to = address_in<sockaddr_in6>(local), from = address_in<sockaddr_in6>(peer);
    std::memcpy(tuple.ipv6.saddr, &from.sin6_addr, sizeof tuple.ipv6.saddr);
    std::memcpy(tuple.ipv6.daddr, &to.sin6_addr, sizeof tuple.ipv6.daddr);
    tuple.ipv6.sport = from.sin6_port;
    tuple.ipv6.dport = to.sin6_port;
    size = sizeof tuple.ipv6;
  } else {
    auto to = address_in<sockaddr_in>(local), from = address_in<sockaddr_in>(peer);
    tuple.ipv4 = {from.sin_addr.s_addr, to.sin_addr.s_addr, from.sin_port, to.sin_port};
  }
  std::string packet(sizeof(ethhdr), '\0');
  return packet.append(reinterpret_cast<const char*>(&tuple), size);
}

bool is_before(uint32_t number, uint32_t other) { return static_cast<int32_t>(number - other) < 0; }

TcpUrgent marks_of(const godwit_urgent_marks& raw) {
  TcpUrgent urgent;
  bool ahead = !is_before(raw.received_at, raw.first_unread) && is_before(raw.received_at, raw.receive_next);
  if (ahead && (raw.received & kUnread) != 0) urgent.received = TcpUrgent::Received::unread;
  if (ahead && (raw.received & kRead) != 0) urgent.received = TcpUrgent::Received::read;
  urgent.at = raw.received_at;
  urgent.byte = static_cast<char>(raw.received & 0xff);
  urgent.first_unread = raw.first_unread;
  urgent.sends = is_before(raw.acknowledged, raw.sent_end);
  urgent.sent_end = raw.sent_end;
  return urgent;
}

}  // namespace

Result<UrgentMarks> UrgentMarks::load() {
  return UrgentMarks(TRY(BpfPrograms::load(std::span(godwit_urgent_marks_program, godwit_urgent_marks_program_end))));
}

bool UrgentMarks::may_be(int fd) {
  std::array<uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t length = sizeof memory;
  bool told = ::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory.data(), &length) == 0;
  return !told || memory[SK_MEMINFO_RMEM_ALLOC] != 0 || memory[SK_MEMINFO_WMEM_QUEUED] != 0;
}

Result<TcpUrgent> UrgentMarks::of(int fd) const {
  std::string packet = question(unmapped(TRY(own_address(fd))), unmapped(TRY(peer_address(fd))));
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = packet.data();
  options.data_size_in = static_cast<__u32>(packet.size());
  int result = bpf_prog_test_run_opts(TRY(programs_.program("read_marks")), &options);
  if (result < 0) return failed(result, "bpf(PROG_TEST_RUN)");
  if (options.retval == 0) return TcpUrgent{};
  godwit_urgent_marks raw{};
  uint32_t first = 0;
  result = bpf_map_lookup_elem(TRY(programs_.map("marks")), &first, &raw);
  if (result < 0) return failed(result, "bpf(MAP_LOOKUP_ELEM)");
  return marks_of(raw);
}

}  // namespace godwit::sys
