#include "sys/tcp_segment.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstddef>

#include "sys/ip_packet.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"

namespace godwit::sys {

namespace {

struct Segment {
  uint32_t number, acknowledged, window;  // the window unscaled
  bool end = false;
};

// Of no options. `urgent`: behind which byte of the content the mark is; 0: there is none.
Result<std::string> segment(const std::string& from, const std::string& to, const Segment& about,
                            std::string_view content, uint16_t urgent) {
  tcphdr header{};
  header.source = htons(port_of(from));
  header.dest = htons(port_of(to));
  header.seq = htonl(about.number);
  header.ack_seq = htonl(about.acknowledged);
  header.doff = sizeof header / 4;
  header.ack = 1;
  header.psh = !content.empty();
  header.fin = about.end;
  header.urg = urgent != 0;
  header.urg_ptr = htons(urgent);
  header.window = htons(static_cast<uint16_t>(std::min<uint32_t>(about.window, 65535)));
  std::string payload(reinterpret_cast<const char*>(&header), sizeof header);
  payload += content;
  return ip_packet(IPPROTO_TCP, from, to, std::move(payload), offsetof(tcphdr, check));
}

}  // namespace

Result<void> deliver_segment(const TcpConnection& connection, uint32_t at, std::string_view content, bool end) {
  std::string from = unmapped(connection.peer), to = unmapped(connection.local);
  uint32_t mark = connection.urgent.at - at;
  bool urgent = connection.urgent.received != TcpUrgent::Received::none && mark < content.size();
  uint32_t window = connection.window.size >> (connection.window_scaling ? connection.send_scale : 0);
  // The mark: the number behind the byte, unless net.ipv4.tcp_stdurg is set.
  auto behind = static_cast<uint16_t>(urgent ? mark + 1 : 0);
  return deliver_packet(TRY(segment(from, to, {at, connection.send_first, window, end}, content, behind)), to);
}

Result<void> ask_peer(const TcpConnection& connection) {
  std::string from = unmapped(connection.local), to = unmapped(connection.peer);
  uint32_t next = connection.receive_next + (connection.peer_finished() ? 1 : 0);
  uint32_t window = connection.window.receive >> (connection.window_scaling ? connection.receive_scale : 0);
  // A byte that the peer has already: answers to packets without any are limited in their rate (Linux
  // net/ipv4/tcp_input.c, tcp_oow_rate_limited()).
  return deliver_packet(TRY(segment(from, to, {connection.send_first - 1, next, window}, "?", 0)), to);
}

}  // namespace godwit::sys
