#include "sys/tcp_segment.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstddef>

#include "sys/ip_packet.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"

namespace godwit::sys {

Result<void> deliver_segment(const TcpConnection& connection, uint32_t at, std::string_view content, bool end) {
  std::string from = unmapped(connection.peer), to = unmapped(connection.local);
  tcphdr header{};
  header.source = htons(port_of(from));
  header.dest = htons(port_of(to));
  header.seq = htonl(at);
  header.ack_seq = htonl(connection.send_first);
  header.doff = sizeof header / 4;
  header.ack = 1;
  header.psh = !content.empty();
  header.fin = end;
  uint32_t mark = connection.urgent.at - at;
  if (connection.urgent.received != TcpUrgent::Received::none && mark < content.size()) {
    header.urg = 1;
    header.urg_ptr = htons(static_cast<uint16_t>(mark + 1));  // the number behind it, unless net.ipv4.tcp_stdurg is set
  }
  uint32_t window = connection.window.size >> (connection.window_scaling ? connection.send_scale : 0);
  header.window = htons(static_cast<uint16_t>(std::min<uint32_t>(window, 65535)));
  std::string payload(reinterpret_cast<const char*>(&header), sizeof header);
  payload += content;
  return deliver_packet(TRY(ip_packet(IPPROTO_TCP, from, to, std::move(payload), offsetof(tcphdr, check))), to);
}

}  // namespace godwit::sys
