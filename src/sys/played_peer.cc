#include "sys/played_peer.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>

#include "sys/errno.h"
#include "sys/file.h"
#include "sys/interface.h"
#include "sys/netlink_address.h"
#include "sys/netlink_route.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"
#include "sys/tcp_segment.h"
#include "sys/tun.h"

namespace godwit::sys {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kInterface = "gwpeer";
constexpr size_t kLargestPacket = 65536;
constexpr std::chrono::milliseconds kSayAgain(100);  // that there is room

// The ends of a connection, as its own packets have them.
using Ends = std::string;

struct Heard {
  Ends ends;
  uint32_t number = 0;
  std::string_view content;
  bool end = false;
};

template <class T>
std::optional<T> at(std::string_view packet, size_t offset) {
  T value{};
  if (packet.size() < offset + sizeof value) return std::nullopt;
  std::memcpy(&value, packet.data() + offset, sizeof value);
  return value;
}

// Nothing for a packet of another protocol.
std::optional<Heard> parse(std::string_view packet) {
  Heard heard;
  size_t from = 0, end = 0;
  auto four = at<iphdr>(packet, 0);
  if (four && four->version == 4 && four->protocol == IPPROTO_TCP) {
    from = size_t{four->ihl} * 4;
    end = ntohs(four->tot_len);
    heard.ends = packet.substr(offsetof(iphdr, saddr), 2 * sizeof four->saddr);
  } else if (auto six = at<ip6_hdr>(packet, 0); six && four->version == 6 && six->ip6_nxt == IPPROTO_TCP) {
    from = sizeof *six;
    end = from + ntohs(six->ip6_plen);
    heard.ends = packet.substr(offsetof(ip6_hdr, ip6_src), 2 * sizeof six->ip6_src);
  }
  auto header = at<tcphdr>(packet, from);
  if (from == 0 || !header || end > packet.size()) return std::nullopt;
  heard.ends += packet.substr(from, 2 * sizeof header->source);
  size_t content = from + size_t{header->doff} * 4;
  if (content > end) return std::nullopt;
  heard.number = ntohl(header->seq);
  heard.content = packet.substr(content, end - content);
  heard.end = header->fin != 0;
  return heard;
}

Ends ends_of(const TcpConnection& connection) {
  std::string local = unmapped(connection.local), peer = unmapped(connection.peer);
  auto part = [](const std::string& address, size_t offset, size_t size) { return address.substr(offset, size); };
  bool six = local.size() >= sizeof(sockaddr_in6);
  size_t where = six ? offsetof(sockaddr_in6, sin6_addr) : offsetof(sockaddr_in, sin_addr);
  size_t size = six ? sizeof(in6_addr) : sizeof(in_addr);
  constexpr size_t kPort = offsetof(sockaddr_in, sin_port);  // the same in both
  static_assert(kPort == offsetof(sockaddr_in6, sin6_port));
  return part(local, where, size) + part(peer, where, size) + part(local, kPort, sizeof(in_port_t)) +
         part(peer, kPort, sizeof(in_port_t));
}

// One connection's peer.
class Listener {
 public:
  explicit Listener(const TcpStanding& standing) : connection_(standing.connection) {
    first_ = connection_.send_first;
    most_ = standing.send_end - first_;
    connection_.urgent = {};
    connection_.window.size = UINT32_MAX;  // as much as the header can say
    said_.whole = most_ <= 1;              // nothing but the end of the stream
  }

  // That all was heard up to here, and that there is room for more.
  Result<void> acknowledge() const {
    TcpConnection told = connection_;
    told.send_first = first_ + static_cast<uint32_t>(said_.bytes.size()) + (said_.whole ? 1 : 0);
    return deliver_segment(told, told.receive_next + (told.peer_finished() ? 1 : 0), {}, false);
  }

  // Whether it was new.
  bool hear(const Heard& heard) {
    uint32_t offset = heard.number - first_;
    if (offset > most_ || heard.content.size() > most_ - offset) return false;
    if (!heard.content.empty()) ahead_.emplace(offset, heard.content);
    if (heard.end) end_ = offset + static_cast<uint32_t>(heard.content.size());
    size_t before = said_.bytes.size();
    for (auto next = ahead_.begin(); next != ahead_.end() && next->first <= said_.bytes.size();) {
      size_t known = said_.bytes.size() - next->first;
      if (known < next->second.size()) said_.bytes += std::string_view(next->second).substr(known);
      next = ahead_.erase(next);
    }
    bool ended = !said_.whole && end_ && *end_ == said_.bytes.size();
    said_.whole = said_.whole || ended;
    return ended || said_.bytes.size() > before;
  }
  bool whole() const { return said_.whole; }
  Said take() { return std::move(said_); }

 private:
  TcpConnection connection_;
  uint32_t first_, most_;
  Said said_;
  std::map<uint32_t, std::string> ahead_;  // by offset: what came before what lies before it
  std::optional<uint32_t> end_;
};

Result<UniqueFd> lead_here(std::span<const TcpStanding> connections) {
  UniqueFd tun = TRY(make_tun({kInterface, IFF_TUN | IFF_NO_PI}, 0, {}, {}));
  TRY(set_tun(tun.get(), {}, INT32_MAX));  // and it goes with its last descriptor
  TRY(set_file_flags(tun.get(), O_NONBLOCK));
  TRY(bring_interface_up(kInterface));
  Netlink netlink = TRY(Netlink::open(NETLINK_ROUTE));
  NetlinkBatch batch;
  unsigned interface = if_nametoindex(kInterface);
  for (const TcpStanding& standing : connections) {
    auto own = ip_of(standing.connection.local), peer = ip_of(standing.connection.peer);
    if (!own || !peer) return error(ErrorKind::bug, "a connection to nobody");
    add_address(batch, interface, *own, own->bits());  // the interface that had it may be gone by now
    set_route(batch, {.to = *peer, .prefix = peer->bits(), .interface = interface});
  }
  TRY(netlink.run(batch));
  return tun;
}

}  // namespace

Result<std::vector<Said>> play_peers(std::span<const TcpStanding> connections, std::chrono::milliseconds patience) {
  std::map<Ends, Listener> listeners;
  for (const TcpStanding& standing : connections) listeners.emplace(ends_of(standing.connection), Listener(standing));
  UniqueFd tun = TRY(lead_here(connections));
  std::string packet(kLargestPacket, '\0');
  auto heard_at = Clock::now();
  auto speaking = std::ranges::count_if(listeners, [](const auto& each) { return !each.second.whole(); });
  auto say_again = heard_at;
  while (speaking > 0 && Clock::now() - heard_at < patience) {
    if (Clock::now() >= say_again) {
      say_again = Clock::now() + kSayAgain;
      for (auto& [ends, listener] : listeners) {
        if (!listener.whole()) (void)listener.acknowledge();  // again in a moment
      }
    }
    pollfd readable{tun.get(), POLLIN, 0};
    (void)::poll(&readable, 1, static_cast<int>(kSayAgain.count()));
    for (;;) {
      ssize_t length = ::read(tun.get(), packet.data(), packet.size());
      if (length <= 0) break;
      auto heard = parse(std::string_view(packet).substr(0, static_cast<size_t>(length)));
      auto listener = heard ? listeners.find(heard->ends) : listeners.end();
      if (listener == listeners.end() || listener->second.whole()) continue;
      bool news = listener->second.hear(*heard);
      if (news) heard_at = Clock::now();
      if (listener->second.whole()) --speaking;
      if (!heard->content.empty() || heard->end) (void)listener->second.acknowledge();
    }
  }
  std::vector<Said> said;
  for (const TcpStanding& standing : connections) said.push_back(listeners.at(ends_of(standing.connection)).take());
  return said;
}

}  // namespace godwit::sys
