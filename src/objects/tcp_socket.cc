// TCP sockets that do not listen: connections with everything that is queued, half-closed ones, those that are not
// connected (any more).
//
// At the source a connection is held still (repair mode) from its capture until the job has left or goes on. At the
// destination all are made in repair mode first and then take part again. Between two ends in one job nothing is lost
// or sent twice: what one end has not received, the other has not sent yet. Source: tcp(7), RFC 9293, Linux
// net/ipv4/tcp.c.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>

#include "objects/description.h"
#include "objects/last_words.h"
#include "objects/sockets.h"
#include "objects/tcp_connection.h"
#include "objects/tcp_rest.h"
#include "sys/ended_connection.h"
#include "sys/file.h"
#include "sys/socket_names.h"
#include "sys/socket_options.h"
#include "sys/socket_state.h"
#include "sys/tcp_repair.h"
#include "sys/tcp_segment.h"

namespace godwit::objects {

namespace {

using sys::TcpConnection;
using sys::TcpState;

// Both streams have ended; there may still be something to read.
bool is_ended(const image::TcpSocket& socket) {
  return static_cast<TcpState>(socket.state()) == TcpState::closed && socket.receives_no_more();
}

// Of MPTCP: the state is that of the first way, which may have ended before others.
bool has_ways(int fd, TcpState state) {
  auto peer = sys::peer_address(fd);  // empty: there is none
  return state != TcpState::closed || !peer || !peer->empty();
}

std::optional<Unsupported> what_blocks(const OpenDescriptor& open, const sys::SocketKind& kind, TcpState state,
                                       const Result<std::string>& filter, CaptureTools& tools) {
  if (!filter) return unreadable_filter("TCP socket");
  if (kind.shape.protocol == IPPROTO_MPTCP && has_ways(open.copy.get(), state)) {
    return Unsupported{"socket.mptcp", "MPTCP connection, which may go several ways at once",
                       "have the program connect by plain TCP"};
  }
  if (kind.name == "tcp.tls") {
    return Unsupported{"socket.tcp.tls", "TCP connection encrypted by the kernel",
                       "configure the program not to use kernel TLS"};
  }
  if (is_connected(state) && !tools.sockets.sees_numbers() && sys::has_urgent_byte(open.copy.get())) {
    return Unsupported{"socket.tcp.urgent", "TCP connection with an urgent byte that was not read",
                       "try again when the program has read it", true};
  }
  return std::nullopt;
}

}  // namespace

Captured capture_tcp_socket(const OpenDescriptor& open, const sys::SocketKind& kind, CaptureTools& tools,
                            image::Description& into) {
  const sys::SocketShape& shape = kind.shape;
  auto state = static_cast<TcpState>(kind.tcp_state);
  auto filter = sys::read_filter(open.copy.get());
  if (auto blocked = what_blocks(open, kind, state, filter, tools)) return blocked;
  image::TcpSocket& socket = *into.mutable_tcp_socket();
  socket.set_family(static_cast<uint32_t>(shape.family));
  socket.set_state(static_cast<uint32_t>(state));
  if (tools.depth == Depth::plan) {
    if (is_connected(state)) TRY(tools.sockets.know_options(open.copy.get(), open.status.st_ino, shape));
    return std::optional<Unsupported>();
  }
  socket.set_filter(*filter);
  socket.set_receives_no_more(sys::receives_no_more(open.copy.get()));
  socket.set_uid(open.status.st_uid);
  socket.set_gid(open.status.st_gid);
  socket.set_local(TRY(sys::own_address(open.copy.get())));
  TRY(tools.sockets.add_options(open.copy.get(), *socket.mutable_options(), shape, open.status.st_ino));
  if (is_ended(socket)) socket.set_received(TRY(sys::peek_unread(open.copy.get())));
  bool asks = state == TcpState::syn_sent || state == TcpState::syn_received;
  if (!is_connected(state) && !asks) return std::optional<Unsupported>();
  const sys::RepairMode* still = TRY(tools.sockets.hold_still(open.copy.get(), std::move(*filter)));
  if (asks) {
    socket.set_state(static_cast<uint32_t>(TcpState::syn_sent));
    socket.set_peer(TRY(sys::asked_address(open.copy.get())));
    socket.set_send_first(TRY(sys::first_number(*still)));
    return std::optional<Unsupported>();
  }
  sys::TcpUrgent urgent = TRY(tools.sockets.urgent_of(open.copy.get()));
  tell(TRY(sys::read_connection(*still, urgent)), socket);
  return std::optional<Unsupported>();
}

namespace {

struct Entry {
  const image::Description* description;
  const image::TcpSocket* socket;
  int fd;
  TcpConnection connection;
  Entry* other = nullptr;  // the other end, when it is in the job too
  TcpState state() const { return connection.state; }
};

// What the other end has received is acknowledged; what it has not received is sent (again) in the ordinary way.
Result<void> settle(Entry& sender, const Entry& receiver) {
  TcpConnection& from = sender.connection;
  uint32_t received = receiver.connection.receive_next - from.send_first;
  if (received > from.unacknowledged.size()) {
    return error(ErrorKind::corrupt, "two ends of a TCP connection that do not fit each other");
  }
  from.send_first += received;
  from.unsent.insert(0, from.unacknowledged.substr(received));
  from.unacknowledged.clear();
  return {};
}

class Restore final : public TcpSocketRestore {
 public:
  Restore(std::chrono::nanoseconds elapsed, std::optional<sys::AcceptQueue> accept_queue);
  Result<void> make_all(const image::LogicalHost& host, const files::Owner& owner, MadeDescriptions& made);
  Result<void> connect_inside() override { return take_part(true); }
  image::TcpRest rest() const override;
  Result<void> connect_outside() override { return take_part(false); }
  std::vector<UniqueFd> take_speakers() override { return std::move(speakers_); }

 private:
  Result<void> prepare_waiting(const image::LogicalHost& host);
  Result<void> find_other_ends();
  Result<void> make_one(Entry& entry);
  Result<void> make_stand_ins(const image::LogicalHost& host);
  Result<void> make_stand_in(Entry& entry, std::optional<size_t> speaks);
  Result<void> take_part(bool inside);
  bool is_inside(const Entry& entry) const;
  std::chrono::nanoseconds elapsed_;
  std::vector<Entry> entries_;
  std::optional<sys::AcceptQueue> accept_queue_;
  std::vector<sys::TcpConnection> waiting_;  // to be accepted
  struct StandIn {
    UniqueFd fd;
    Entry* entry;
    std::optional<size_t> speaks;  // it has more to say: which of the host's closed_within
  };
  std::vector<StandIn> stand_ins_;  // for other ends that nobody has open any more
  std::vector<UniqueFd> speakers_;
};

Result<void> Restore::find_other_ends() {
  std::map<std::string, Entry*> by_ends;
  for (Entry& entry : entries_) {
    if (!is_connected(entry.state())) continue;
    if (!by_ends.emplace(key_of_ends(entry.connection.local, entry.connection.peer), &entry).second) {
      return error(ErrorKind::corrupt, "the same TCP connection twice");
    }
  }
  for (Entry& entry : entries_) {
    if (!is_connected(entry.state())) continue;
    auto found = by_ends.find(key_of_ends(entry.connection.peer, entry.connection.local));
    if (found != by_ends.end()) entry.other = found->second;
  }
  for (Entry& entry : entries_) {
    if (entry.other != nullptr) TRY(settle(entry, *entry.other));
  }
  return {};
}

sys::SocketShape shape(const image::TcpSocket& socket) {
  return {static_cast<int>(socket.family()), SOCK_STREAM, IPPROTO_TCP};
}

Result<void> Restore::make_one(Entry& entry) {
  const image::TcpSocket& socket = *entry.socket;
  if (is_ended(socket)) return {};
  TRY(sys::set_options(entry.fd, shape(socket), options_of(socket.options()), sys::OptionTime::before_bind));
  if (is_connected(entry.state())) return sys::rebuild_connection(entry.fd, entry.connection);
  if (entry.state() == TcpState::syn_sent) TRY(sys::choose_first_number(entry.fd, socket.send_first()));
  if (sys::port_of(socket.local()) == 0) return {};
  TRY(sys::set_option(entry.fd, SOL_SOCKET, SO_REUSEADDR, 1));  // the real value comes with the other options
  return sys::bind_to(entry.fd, socket.local());
}

// The other end was closed and is the kernel's alone. It is made again and closed again, when it has said what it still
// has to, so that this one sees the end of the stream, and an answer to whatever it still sends.
Result<void> Restore::make_stand_in(Entry& entry, std::optional<size_t> speaks) {
  TcpConnection& here = entry.connection;
  TcpConnection there{};
  there.state = TcpState::established;
  there.local = here.peer;
  there.peer = here.local;
  there.receive_next = here.send_first;
  there.send_first = here.receive_next;
  there.largest_segment = here.largest_segment;
  there.timestamps = here.timestamps;
  there.selective_acknowledgements = here.selective_acknowledgements;
  there.window_scaling = here.window_scaling;
  there.send_scale = here.receive_scale;
  there.receive_scale = here.send_scale;
  there.timestamp = here.timestamp;
  // Not what this end has offered: that it would not offer anew, having been rebuilt with it.
  constexpr uint32_t kWindow = 65535;
  there.window = {here.send_first, kWindow, kWindow, kWindow, here.send_first};
  here.unsent.insert(0, here.unacknowledged);
  here.unacknowledged.clear();
  UniqueFd fd = TRY(sys::make_socket(shape(*entry.socket)));
  TRY(sys::rebuild_connection(fd.get(), there)
          .within("a TCP connection that its other side, outside the job, has ended"));
  if (speaks) TRY(sys::reset_when_closed(fd.get()));  // until it has said everything
  stand_ins_.push_back({std::move(fd), &entry, speaks});
  return {};
}

Result<void> Restore::make_stand_ins(const image::LogicalHost& host) {
  if (static_cast<size_t>(host.closed_within_size()) > kMostLastWords) {
    return error(ErrorKind::corrupt, "too many connections that were closed");
  }
  std::map<std::string, size_t> speakers;
  for (const image::TcpSocket& closed : host.closed_within()) {
    speakers.emplace(key_of_ends(closed.local(), closed.peer()), speakers.size());
  }
  speakers_.resize(static_cast<size_t>(host.closed_within_size()));
  for (Entry& entry : entries_) {
    bool nobody_there = is_connected(entry.state()) && entry.other == nullptr &&
                        is_within_job(entry.connection.local, entry.connection.peer);
    if (!nobody_there) continue;
    auto speaks = speakers.find(key_of_ends(entry.connection.peer, entry.connection.local));
    if (entry.connection.peer_finished()) {
      TRY(make_stand_in(entry, std::nullopt));
    } else if (speaks != speakers.end()) {
      TRY(make_stand_in(entry, speaks->second));
    }
  }
  return {};
}

Restore::Restore(std::chrono::nanoseconds elapsed, std::optional<sys::AcceptQueue> accept_queue)
    : elapsed_(elapsed), accept_queue_(std::move(accept_queue)) {}

std::span<const std::string> interfaces_of_listeners() {
  static const std::array<std::string, 2> interfaces{"lo", "eth0"};
  return interfaces;
}

// What can fail is done before the switchover. Requests are completed by packets that come later, from outside or from
// the job itself.
Result<void> Restore::prepare_waiting(const image::LogicalHost& host) {
  for (const image::Description& description : host.descriptions()) {
    for (const image::TcpSocket& socket : description.tcp_listener().waiting())
      waiting_.push_back(later(connection_of(socket), elapsed_));
  }
  if (waiting_.empty() && host.tcp_requests().empty()) return {};
  if (!accept_queue_) accept_queue_ = TRY(sys::AcceptQueue::load());
  std::vector<sys::TcpRequest> requests;
  for (const image::TcpRequest& request : host.tcp_requests()) requests.push_back(TRY(request_of(request)));
  for (sys::TcpRequest& request : requests) request.timestamp += clock_advance(elapsed_);
  return accept_queue_->expect(requests, interfaces_of_listeners());
}

Result<void> Restore::make_all(const image::LogicalHost& host, const files::Owner& owner, MadeDescriptions& made) {
  for (const image::Description& description : host.descriptions()) {
    if (!description.has_tcp_socket()) continue;
    const image::TcpSocket& socket = description.tcp_socket();
    bool known = socket.family() == AF_INET || socket.family() == AF_INET6;
    if (!known) return error(ErrorKind::corrupt, "a TCP socket of an impossible kind");
    UniqueFd fd = is_ended(socket) ? TRY(sys::make_ended_connection(shape(socket).family, socket.received()))
                                   : TRY(sys::make_socket(shape(socket)));
    bool root = owner.uid == 0;
    TRY(sys::set_socket_owner(fd.get(), root ? socket.uid() : owner.uid, root ? socket.gid() : owner.gid));
    entries_.push_back({&description, &socket, fd.get(), later(connection_of(socket), elapsed_)});
    made[description.id()] = std::move(fd);
  }
  TRY(prepare_waiting(host));
  TRY(find_other_ends());
  TRY(make_stand_ins(host));
  for (Entry& entry : entries_) {
    TRY(make_one(entry).within("TCP socket of description " + std::to_string(entry.description->id())));
  }
  return {};
}

bool Restore::is_inside(const Entry& entry) const {
  bool stands_in = std::any_of(stand_ins_.begin(), stand_ins_.end(), [&](auto& each) { return each.entry == &entry; });
  bool alone = !is_connected(entry.state()) && entry.state() != TcpState::syn_sent;
  return entry.other != nullptr || stands_in || alone;
}

image::TcpRest Restore::rest() const {
  image::TcpRest rest;
  for (const Entry& entry : entries_) {
    if (is_inside(entry)) continue;
    image::TcpRest::Connection& left = *rest.add_connections();
    *left.mutable_socket() = rest_of(entry.connection, *entry.socket);
    left.set_flags(entry.description->flags());
  }
  for (const TcpConnection& connection : waiting_) {
    image::TcpSocket& socket = *rest.add_waiting();
    socket.set_state(static_cast<uint32_t>(connection.state));
    tell(connection, socket);
  }
  return rest;
}

Result<void> Restore::take_part(bool inside) {
  if (!inside && !waiting_.empty()) TRY(accept_queue_->put(waiting_));
  for (Entry& entry : entries_) {
    if (is_inside(entry) != inside || !is_connected(entry.state())) continue;
    TRY(objects::take_part(entry.fd, entry.connection, entry.other != nullptr));
  }
  if (inside) {
    for (StandIn& each : stand_ins_) {
      TRY(sys::end_repair(each.fd.get(), {}, false));
      if (each.speaks) {
        TRY(sys::set_option(each.fd.get(), SOL_SOCKET, SO_REUSEADDR, 1));  // a server may be started anew meanwhile
        speakers_[*each.speaks] = std::move(each.fd);
        continue;
      }
      TRY(sys::shut_down(each.fd.get(), false, true));
      each.fd.reset();
    }
  }
  for (Entry& entry : entries_) {
    if (is_inside(entry) == inside) TRY(finish(entry.fd, entry.connection, *entry.socket, entry.description->flags()));
  }
  return {};
}

}  // namespace

std::optional<sys::AcceptQueue> ready_accept_queue(const image::LogicalHost& plan) {
  bool listens = std::ranges::any_of(plan.descriptions(), [](auto& each) { return each.has_tcp_listener(); });
  if (!listens) return std::nullopt;
  sys::AcceptQueue::make_ready(interfaces_of_listeners());
  auto queue = sys::AcceptQueue::load();
  return queue ? std::optional(std::move(*queue)) : std::nullopt;  // a failure only if connections wait
}

Result<std::unique_ptr<TcpSocketRestore>> TcpSocketRestore::make(const image::LogicalHost& host, RestoreTools& tools,
                                                                 MadeDescriptions& made) {
  auto restore = std::make_unique<Restore>(tools.elapsed, std::exchange(tools.accept_queue, std::nullopt));
  TRY(restore->make_all(host, tools.owner, made));
  return std::unique_ptr<TcpSocketRestore>(std::move(restore));
}

}  // namespace godwit::objects
