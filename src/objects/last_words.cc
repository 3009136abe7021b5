#include "objects/last_words.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>

#include "objects/tcp_connection.h"
#include "objects/tcp_rest.h"
#include "objects/words_within.h"
#include "sys/network_visit.h"
#include "sys/socket_filter.h"
#include "sys/socket_options.h"
#include "sys/socket_state.h"
#include "sys/tcp_segment.h"

namespace godwit::objects {

namespace {

constexpr std::chrono::milliseconds kPatience(1500), kPatienceWithPeers(400);
constexpr uint32_t kMostAcknowledged = 256u << 20;

}  // namespace

void tell(std::span<const sys::TcpStanding> closed, ClosedImages& into) {
  for (const sys::TcpStanding& standing : closed) {
    image::TcpSocket& socket = *into.Add();
    socket.set_state(static_cast<uint32_t>(standing.connection.state));
    tell(standing.connection, socket);
  }
}

Result<std::vector<image::TcpSocket>> hear_last_words(int init_pidfd, std::vector<sys::TcpStanding> closed,
                                                      std::span<const uint32_t> peers_have) {
  if (peers_have.size() != closed.size()) return error(ErrorKind::corrupt, "peers of other connections");
  for (size_t i = 0; i < closed.size(); ++i) {
    uint32_t& first = closed[i].connection.send_first;
    if (peers_have[i] - first > closed[i].send_end - first) {
      return error(ErrorKind::corrupt, "a peer that has more than there is");
    }
    first += std::min(peers_have[i] - first, closed[i].send_end - first - 1);  // the end itself is said again
  }
  std::vector<sys::Said> said;
  TRY(sys::in_network_of(init_pidfd, [&]() -> Result<void> {
    said = TRY(sys::play_peers(closed, kPatience));
    return {};
  }));
  std::vector<image::TcpSocket> images(closed.size());
  for (size_t i = 0; i < closed.size(); ++i) {
    const sys::TcpStanding& standing = closed[i];
    if (!said[i].whole) continue;
    auto ahead = static_cast<int32_t>(standing.send_next - standing.connection.send_first);
    size_t sent = std::min<size_t>(static_cast<size_t>(std::max(ahead, 0)), said[i].bytes.size());
    sys::TcpConnection connection = standing.connection;
    connection.unacknowledged = said[i].bytes.substr(0, sent);
    connection.unsent = said[i].bytes.substr(sent);
    images[i].set_state(static_cast<uint32_t>(connection.state));
    tell(std::move(connection), images[i]);
  }
  return images;
}

namespace {

// Hears nothing yet.
Result<UniqueFd> rebuild(const sys::TcpConnection& connection) {
  if (!is_connected(connection.state)) return error(ErrorKind::corrupt, "a closed connection in an impossible state");
  int family = connection.local.size() >= sizeof(sockaddr_in6) ? AF_INET6 : AF_INET;
  UniqueFd fd = TRY(sys::make_socket({family, SOCK_STREAM, IPPROTO_TCP}));
  TRY(sys::let_nothing_in(fd.get()));
  TRY(sys::rebuild_connection(fd.get(), connection));
  return fd;
}

}  // namespace

Result<LastWordsRestore> LastWordsRestore::make(const ClosedImages& closed, const ClosedNumbers& ends,
                                                std::chrono::nanoseconds elapsed) {
  LastWordsRestore restore;
  auto count = static_cast<size_t>(closed.size());
  if (count > kMostLastWords || closed.size() != ends.size()) {
    return error(ErrorKind::corrupt, "connections that were closed, and ends of others");
  }
  if (count > 0) restore.answers_ = TRY(sys::PeerAnswers::open());
  for (const image::TcpSocket& socket : closed) {
    sys::TcpConnection connection = later(connection_of(socket), elapsed).without_queues();
    auto fd = rebuild(connection);
    uint32_t end = ends[static_cast<int>(restore.connections_.size())];
    restore.connections_.push_back({std::move(connection), end, fd ? std::move(*fd) : UniqueFd()});
  }
  return restore;
}

std::vector<uint32_t> LastWordsRestore::ask_peers() {
  std::vector<sys::TcpConnection> connections;
  for (const Connection& each : connections_) connections.push_back(each.connection);
  auto heard = answers_ ? answers_->hear(connections, kPatienceWithPeers) : std::vector<std::optional<uint32_t>>();
  answers_.reset();
  for (size_t i = 0; i < connections.size(); ++i) {
    uint32_t first = connections[i].send_first, most = std::min(connections_[i].end - first, kMostAcknowledged);
    bool known = heard[i] && *heard[i] - first <= most;  // nobody has more than there is
    peers_have_.push_back(known ? *heard[i] : first);
  }
  return peers_have_;
}

// What the peer has is in the queue for the moment as nothing but a length: it is acknowledged before anything can be
// sent.
Result<void> LastWordsRestore::catch_up(Connection& speaker, uint32_t peer_has, const image::TcpSocket& said) {
  sys::TcpConnection& connection = speaker.connection;
  uint32_t had = peer_has - connection.send_first;
  connection.urgent.sends = false;
  connection.unacknowledged = std::string(had, '\0') + said.unacknowledged();
  TRY(sys::add_unacknowledged(speaker.fd.get(), connection));
  TRY(sys::remove_filter(speaker.fd.get()));
  connection.send_first += had;
  connection.unacknowledged = said.unacknowledged();
  connection.unsent = said.unsent();
  uint32_t next = connection.receive_next + (connection.peer_finished() ? 1 : 0);
  return had > 0 ? sys::deliver_segment(connection, next, {}, false) : Result<void>();
}

LastWordsRestore::~LastWordsRestore() {
  if (!committed_) return;  // in repair mode they close in silence
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection& each = connections_[i];
    if (!each.fd.valid()) continue;
    // The peer heeds a reset with no number but the next.
    if (i < peers_have_.size()) (void)catch_up(each, peers_have_[i], {});
    (void)sys::end_repair(each.fd.get(), {}, false);
    (void)sys::reset_when_closed(each.fd.get());
  }
}

Result<void> LastWordsRestore::speak(size_t which, const image::TcpSocket& said) {
  if (which >= peers_have_.size() || !connections_[which].fd.valid()) {
    return error(ErrorKind::corrupt, "last words of a connection that is not there");
  }
  if (said.state() == 0) return {};
  Connection& speaker = connections_[which];
  uint32_t first = speaker.connection.send_first;
  if (said.send_first() - first > peers_have_[which] - first) return error(ErrorKind::corrupt, "words from nowhere");
  TRY(catch_up(speaker, said.send_first(), said));
  TRY(take_part(speaker.fd.get(), speaker.connection, false));
  TRY(sys::send_unsent(speaker.fd.get(), speaker.connection));
  speaker.fd.reset();
  return {};
}

Result<void> LastWordsRestore::speak_within(size_t which, const image::TcpSocket& said) {
  return objects::speak_within(std::move(within_.at(which)), said);
}

}  // namespace godwit::objects
