#include "sys/tcp_numbers.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "sys/errno.h"
#include "sys/socket_names.h"
#include "sys/tcp_numbers_record.h"

extern "C" const std::byte godwit_tcp_numbers_program[];
extern "C" const std::byte godwit_tcp_numbers_program_end[];

namespace godwit::sys {

namespace {

constexpr uint32_t kUnread = 0x100, kRead = 0x400;  // TCP_URG_VALID, TCP_URG_READ, include/net/tcp.h

Error failed(int negative_errno, const char* call) {
  return Error{kind_of(-negative_errno), -negative_errno, call, "reading where a TCP connection stands"};
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

TcpUrgent urgent_in(const godwit_tcp_numbers& raw) {
  TcpUrgent urgent;
  bool ahead = !is_before(raw.urg_seq, raw.copied_seq) && is_before(raw.urg_seq, raw.rcv_nxt);
  if (ahead && (raw.urg_data & kUnread) != 0) urgent.received = TcpUrgent::Received::unread;
  if (ahead && (raw.urg_data & kRead) != 0) urgent.received = TcpUrgent::Received::read;
  urgent.at = raw.urg_seq;
  urgent.byte = static_cast<char>(raw.urg_data & 0xff);
  urgent.first_unread = raw.copied_seq;
  urgent.sends = is_before(raw.snd_una, raw.snd_up);
  urgent.sent_end = raw.snd_up;
  return urgent;
}

// As TCP_TIMESTAMP tells it: by the clock that all connections count by, which no time namespace shifts for us, and the
// lowest bit says in what (net/ipv4/tcp.c, do_tcp_getsockopt(); net/tcp.h, tcp_clock_ts()).
uint32_t timestamp_of(const godwit_tcp_numbers& raw) {
  using namespace std::chrono;
  auto now = steady_clock::now().time_since_epoch();
  if (raw.microseconds != 0)
    return (static_cast<uint32_t>(duration_cast<microseconds>(now).count()) + raw.tsoffset) | 1;
  return (static_cast<uint32_t>(duration_cast<milliseconds>(now).count()) + raw.tsoffset) & ~1u;
}

}  // namespace

Result<TcpNumbers> TcpNumbers::load() {
  return TcpNumbers(TRY(BpfPrograms::load(std::span(godwit_tcp_numbers_program, godwit_tcp_numbers_program_end))));
}

bool may_have_urgent(int fd) {
  std::array<uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t length = sizeof memory;
  bool told = ::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory.data(), &length) == 0;
  return !told || memory[SK_MEMINFO_RMEM_ALLOC] != 0 || memory[SK_MEMINFO_WMEM_QUEUED] != 0;
}

Result<std::optional<godwit_tcp_numbers>> TcpNumbers::read(const std::string& local, const std::string& peer) const {
  std::string packet = question(unmapped(local), unmapped(peer));
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = packet.data();
  options.data_size_in = static_cast<__u32>(packet.size());
  int result = bpf_prog_test_run_opts(TRY(programs_.program("read_numbers")), &options);
  if (result < 0) return failed(result, "bpf(PROG_TEST_RUN)");
  if (options.retval == 0) return std::optional<godwit_tcp_numbers>();
  godwit_tcp_numbers raw{};
  uint32_t first = 0;
  result = bpf_map_lookup_elem(TRY(programs_.map("numbers")), &first, &raw);
  if (result < 0) return failed(result, "bpf(MAP_LOOKUP_ELEM)");
  return std::optional(raw);
}

Result<TcpUrgent> TcpNumbers::urgent_of(int fd) const {
  auto raw = TRY(read(TRY(own_address(fd)), TRY(peer_address(fd))));
  return raw ? urgent_in(*raw) : TcpUrgent{};
}

Result<std::optional<TcpStanding>> TcpNumbers::standing(const std::string& local, const std::string& peer) const {
  auto raw = TRY(read(local, peer));
  if (!raw) return std::optional<TcpStanding>();
  TcpConnection connection{};
  connection.state = static_cast<TcpState>(raw->state);
  connection.local = local;
  connection.peer = peer;
  connection.receive_next = raw->rcv_nxt - (connection.peer_finished() ? 1 : 0);
  connection.send_first = raw->snd_una;
  connection.largest_segment = raw->mss_clamp;
  connection.timestamps = raw->tstamp_ok != 0;
  connection.selective_acknowledgements = raw->sack_ok != 0;
  connection.window_scaling = raw->wscale_ok != 0;
  connection.send_scale = raw->snd_wscale;
  connection.receive_scale = raw->rcv_wscale;
  if (connection.timestamps) connection.timestamp = timestamp_of(*raw);
  connection.window = {raw->snd_wl1, raw->snd_wnd, raw->max_window, raw->rcv_wnd, raw->rcv_wup};
  connection.urgent = urgent_in(*raw);
  return std::optional(TcpStanding{std::move(connection), raw->snd_nxt, raw->write_seq});
}

}  // namespace godwit::sys
