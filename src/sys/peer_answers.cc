#include "sys/peer_answers.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <string>

#include "sys/ip_address.h"
#include "sys/socket_state.h"
#include "sys/tcp_segment.h"

namespace godwit::sys {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kAskAgain(100);

struct Answer {
  IpAddress from;
  uint16_t port, to_port;
  uint32_t acknowledged;
};

// An IPv4 packet comes with its header, an IPv6 packet without.
std::optional<Answer> read_answer(int fd) {
  std::array<char, 256> packet{};
  sockaddr_storage sender{};
  socklen_t length = sizeof sender;
  ssize_t size = ::recvfrom(fd, packet.data(), packet.size(), MSG_DONTWAIT | MSG_TRUNC,
                            reinterpret_cast<sockaddr*>(&sender), &length);
  if (size <= 0) return std::nullopt;
  Answer answer{};
  size_t from = sender.ss_family == AF_INET ? static_cast<size_t>(packet[0] & 0xf) * 4 : 0;
  tcphdr header{};
  auto address = ip_of(std::string(reinterpret_cast<const char*>(&sender), length));
  if (!address || static_cast<size_t>(size) < from + sizeof header || from > packet.size() - sizeof header)
    return answer;
  std::memcpy(&header, packet.data() + from, sizeof header);
  if (header.ack == 0 || header.rst != 0 || header.syn != 0) return answer;
  return Answer{*address, ntohs(header.source), ntohs(header.dest), ntohl(header.ack_seq)};
}

bool is_of(const Answer& answer, const TcpConnection& connection) {
  return answer.port != 0 && answer.port == port_of(connection.peer) && answer.to_port == port_of(connection.local) &&
         ip_of(connection.peer) == answer.from;
}

bool is_before(uint32_t number, uint32_t other) { return static_cast<int32_t>(number - other) < 0; }

}  // namespace

Result<PeerAnswers> PeerAnswers::open() {
  UniqueFd four = TRY(make_socket({AF_INET, SOCK_RAW, IPPROTO_TCP}));
  auto six = make_socket({AF_INET6, SOCK_RAW, IPPROTO_TCP});
  return PeerAnswers(std::move(four), six ? std::move(*six) : UniqueFd());
}

// What has come already was sent before we asked.
std::vector<std::optional<uint32_t>> PeerAnswers::hear(std::span<const TcpConnection> connections,
                                                       std::chrono::milliseconds patience) {
  std::vector<std::optional<uint32_t>> heard(connections.size());
  std::vector<bool> answered(connections.size());
  auto until = Clock::now() + patience;  // much may come that is for others
  auto listen = [&] {
    for (int fd : {four_.get(), six_.get()}) {
      for (auto answer = fd < 0 ? std::nullopt : read_answer(fd); answer && Clock::now() < until;
           answer = read_answer(fd)) {
        for (size_t i = 0; i < connections.size(); ++i) {
          if (!is_of(*answer, connections[i])) continue;
          if (!heard[i] || is_before(*heard[i], answer->acknowledged)) heard[i] = answer->acknowledged;
          answered[i] = true;
        }
      }
    }
  };
  listen();
  answered.assign(connections.size(), false);
  auto ask_at = Clock::now();
  while (Clock::now() < until && !std::ranges::all_of(answered, std::identity())) {
    if (Clock::now() >= ask_at) {
      ask_at = Clock::now() + kAskAgain;
      for (size_t i = 0; i < connections.size(); ++i) {
        if (!answered[i]) (void)ask_peer(connections[i]);  // asked again
      }
    }
    std::array<pollfd, 2> ready{{{four_.get(), POLLIN, 0}, {six_.get(), POLLIN, 0}}};  // one below 0 is passed over
    (void)::poll(ready.data(), ready.size(), 1);
    listen();
  }
  return heard;
}

}  // namespace godwit::sys
