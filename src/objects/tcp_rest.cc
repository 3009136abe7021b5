#include "objects/tcp_rest.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <span>

#include "objects/sockets.h"
#include "objects/tcp_connection.h"
#include "sys/accept_queue.h"
#include "sys/file.h"
#include "sys/namespaces.h"
#include "sys/network_visit.h"
#include "sys/open_sockets.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"
#include "sys/tcp_segment.h"
#include "sys/text_file.h"

namespace godwit::objects {

namespace {

using sys::TcpState;

std::string path_of_note(const std::string& run_directory) { return run_directory + "/connections"; }

sys::SocketShape shape_of(const image::TcpSocket& socket) {
  return {static_cast<int>(socket.family()), SOCK_STREAM, IPPROTO_TCP};
}

// By both names: a connection; by its own alone: one that is asked for.
using Noted = std::map<std::string, const image::TcpRest::Connection*>;

Noted by_names(const image::TcpRest& rest) {
  Noted noted;
  for (const auto& connection : rest.connections()) {
    const image::TcpSocket& socket = connection.socket();
    bool connected = is_connected(static_cast<TcpState>(socket.state()));
    noted[socket.local() + (connected ? socket.peer() : std::string())] = &connection;
  }
  return noted;
}

Result<void> go_on(int fd, const image::TcpRest::Connection& noted) {
  sys::TcpConnection connection = connection_of(noted.socket());
  if (is_connected(connection.state)) {
    if (!sys::in_repair_mode(fd)) return {};
    TRY(take_part(fd, connection, false));
  } else if (TRY(sys::tcp_state(fd)) != TcpState::closed) {
    return {};
  }
  return finish(fd, connection, noted.socket(), noted.flags());
}

void go_on_in(const std::string& cgroup, const image::TcpRest& rest) {
  Noted noted = by_names(rest);
  if (noted.empty()) return;
  sys::for_each_open_socket(cgroup, [&](int fd) {
    auto own = sys::own_address(fd);
    auto peer = sys::peer_address(fd);
    auto found = own ? noted.find(*own + peer.value_or(std::string())) : noted.end();
    if (found != noted.end()) (void)go_on(fd, *found->second);
  });
}

Result<void> put_in_queues(const image::TcpRest& rest) {
  std::vector<sys::TcpConnection> waiting;
  for (const image::TcpSocket& socket : rest.waiting()) waiting.push_back(connection_of(socket));
  if (waiting.empty()) return {};
  sys::AcceptQueue queue = TRY(sys::AcceptQueue::load());
  return queue.put(waiting);
}

}  // namespace

bool is_connected(TcpState state) {
  switch (state) {
    case TcpState::established:
    case TcpState::fin_wait1:
    case TcpState::fin_wait2:
    case TcpState::close_wait:
    case TcpState::last_ack:
    case TcpState::closing: return true;
    default: return false;
  }
}

Result<void> take_part(int fd, const sys::TcpConnection& connection, bool inside) {
  TRY(sys::end_repair(fd, connection, !inside));
  if (inside || !connection.peer_finished()) return {};
  // The end of its stream has come; it does not send it again.
  return sys::deliver_segment(connection, connection.receive_next, {}, true);
}

Result<void> finish(int fd, const sys::TcpConnection& connection, const image::TcpSocket& socket, uint32_t flags) {
  TRY(sys::send_unsent(fd, connection));
  TRY(sys::set_options(fd, shape_of(socket), options_of(socket.options()), sys::OptionTime::after_bind));
  if (!socket.filter().empty()) TRY(sys::set_filter(fd, socket.filter()));
  bool sends_no_more = is_connected(connection.state) && connection.finished();
  bool by_itself = socket.receives_no_more() && is_connected(connection.state) && !connection.peer_finished();
  TRY(sys::shut_down(fd, by_itself, sends_no_more));
  TRY(sys::set_file_flags(fd, flags & (O_NONBLOCK | O_ASYNC)));
  if (connection.state == TcpState::syn_sent) return sys::begin_to_connect(fd, socket.peer());
  return {};
}

image::TcpSocket rest_of(const sys::TcpConnection& connection, const image::TcpSocket& socket) {
  image::TcpSocket rest;
  bool urgent = connection.urgent.sends || connection.urgent.received != sys::TcpUrgent::Received::none;
  sys::TcpConnection left = urgent ? connection : connection.without_queues();
  left.unsent = connection.unsent;
  tell(std::move(left), rest);
  rest.set_family(socket.family());
  rest.set_state(socket.state());
  rest.set_peer(socket.peer());
  *rest.mutable_options() = socket.options();
  rest.set_filter(socket.filter());
  rest.set_receives_no_more(socket.receives_no_more());
  return rest;
}

Result<void> note(const std::string& run_directory, const image::TcpRest& rest) {
  if (rest.connections().empty() && rest.waiting().empty()) return {};
  UniqueFd file = TRY(sys::open_path(path_of_note(run_directory), O_WRONLY | O_CREAT | O_TRUNC, 0600));
  std::string bytes = rest.SerializeAsString();
  return sys::write_at(file.get(), 0, std::as_bytes(std::span(bytes)));
}

void forget_note(const std::string& run_directory) { ::unlink(path_of_note(run_directory).c_str()); }

void do_as_noted(const std::string& run_directory, const std::string& cgroup, pid_t init_host_pid) {
  auto text = sys::read_text(path_of_note(run_directory));
  if (!text) return;
  forget_note(run_directory);
  image::TcpRest rest;
  if (!rest.ParseFromString(*text)) return;  // its writer was killed over it: nothing had been switched over yet
  auto init = sys::open_pidfd(init_host_pid);
  if (!init) return;
  (void)sys::in_network_of(init->get(), [&]() -> Result<void> {
    go_on_in(cgroup, rest);
    return put_in_queues(rest);
  });
}

}  // namespace godwit::objects
