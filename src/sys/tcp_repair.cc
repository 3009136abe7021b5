#include "sys/tcp_repair.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "sys/errno.h"
#include "sys/file.h"
#include "sys/socket_names.h"
#include "sys/socket_options.h"
#include "sys/tcp_segment.h"

namespace godwit::sys {

namespace {

constexpr int kOn = 1, kOff = 0, kOffWithoutProbe = -1;  // TCP_REPAIR_ON, ...
constexpr int kNoQueue = 0, kReceiveQueue = 1, kSendQueue = 2;
constexpr uint32_t kSegmentOption = 2, kScaleOption = 3, kSelectiveOption = 4, kTimestampOption = 8;  // RFC 9293, 7323
constexpr size_t kRetransmitted = 1 << 17;  // the first segment may begin before what is unacknowledged
constexpr size_t kMostQueue = size_t{1} << 30;
constexpr size_t kPart = 1 << 16;

Result<void> set(int fd, int name, int value) { return set_option(fd, IPPROTO_TCP, name, value).within("TCP_REPAIR"); }
Result<uint32_t> get(int fd, int name) {
  return static_cast<uint32_t>(TRY(read_option(fd, IPPROTO_TCP, name).within("TCP_REPAIR")));
}

Result<size_t> queued(int fd, unsigned long which) {
  int bytes = 0;
  if (::ioctl(fd, which, &bytes) != 0) return last_error("ioctl(SIOCINQ)");
  if (bytes < 0) return error(ErrorKind::bug, "a TCP queue of negative length");
  return static_cast<size_t>(bytes);
}

// The last `bytes` of the queue that is selected.
Result<std::string> peek(int fd, size_t bytes, size_t before) {
  if (bytes == 0) return std::string();
  static thread_local std::vector<char> room;  // kept: it may be large, and there may be many connections
  if (room.size() < bytes + before) room.resize(bytes + before);
  ssize_t count = ::recv(fd, room.data(), bytes + before, MSG_PEEK | MSG_DONTWAIT);
  if (count < 0) return last_error("recv", "looking into a TCP queue");
  if (static_cast<size_t>(count) < bytes) return error(ErrorKind::retry, "a TCP queue is shorter than it said");
  return std::string(room.data() + static_cast<size_t>(count) - bytes, bytes);
}

Result<tcp_info> info_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return last_error("getsockopt(TCP_INFO)");
  return info;
}

Result<void> put(int fd, std::string_view bytes, int flags = 0) {
  while (!bytes.empty()) {
    ssize_t count = ::send(fd, bytes.data(), std::min(bytes.size(), kPart), MSG_DONTWAIT | MSG_NOSIGNAL | flags);
    if (count < 0) return last_error("send", "filling a TCP queue");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

// Into the send queue; `first`: the number of the first byte.
Result<void> put_sent(int fd, std::string_view bytes, uint32_t first, const TcpUrgent& urgent) {
  uint32_t until = urgent.sent_end - first;  // the urgent byte is the last of these
  if (!urgent.sends || until == 0 || until > bytes.size()) return put(fd, bytes);
  TRY(put(fd, bytes.substr(0, until - 1)));
  TRY(put(fd, bytes.substr(until - 1, 1), MSG_OOB));
  return put(fd, bytes.substr(until));
}

// Looks into a queue not from its beginning on: SO_PEEK_OFF, which the scope's end takes back.
class LookBehind {
 public:
  static Result<LookBehind> at(int fd, size_t bytes) {
    LookBehind look(fd, TRY(read_option(fd, SOL_SOCKET, SO_PEEK_OFF)));
    TRY(set_option(fd, SOL_SOCKET, SO_PEEK_OFF, static_cast<int>(bytes)));
    return look;
  }
  ~LookBehind() {
    if (fd_ >= 0) (void)set_option(fd_, SOL_SOCKET, SO_PEEK_OFF, before_);  // it could be set
  }
  LookBehind(LookBehind&& other) noexcept : fd_(std::exchange(other.fd_, -1)), before_(other.before_) {}
  LookBehind& operator=(LookBehind&&) = delete;

 private:
  LookBehind(int fd, int before) : fd_(fd), before_(before) {}
  int fd_, before_;
};

// Looking stops before an urgent byte, and begun there leaves it out, unless it is to be read with the others.
Result<std::string> peek_around(int fd, size_t before, size_t all, const TcpUrgent& urgent) {
  std::string received = TRY(peek(fd, before, 0));
  bool in_line = TRY(read_option(fd, SOL_SOCKET, SO_OOBINLINE)) != 0;
  if (!in_line) received += urgent.byte;
  if (before == 0) return received + TRY(peek(fd, all - received.size(), 0));
  LookBehind look = TRY(LookBehind::at(fd, before));
  return received + TRY(peek(fd, all - received.size(), 0));
}

Result<void> read_queues(int fd, TcpConnection& into) {
  TRY(set(fd, TCP_REPAIR_QUEUE, kReceiveQueue));
  into.receive_next = TRY(get(fd, TCP_QUEUE_SEQ)) - (into.peer_finished() ? 1 : 0);
  const TcpUrgent& urgent = into.urgent;
  if (urgent.received == TcpUrgent::Received::none) {
    into.received = TRY(peek(fd, TRY(queued(fd, SIOCINQ)), 0));
  } else {
    into.received =
        TRY(peek_around(fd, urgent.at - urgent.first_unread, into.receive_next - urgent.first_unread, urgent));
  }
  // Only while the send queue is chosen does the pacing timer send nothing (net/ipv4/tcp_output.c, tcp_write_xmit):
  // what it sent after we have looked, the peer would acknowledge to a connection that knows nothing of it. So it stays
  // chosen.
  TRY(set(fd, TCP_REPAIR_QUEUE, kSendQueue));
  size_t unacknowledged = TRY(queued(fd, SIOCOUTQ)), unsent = TRY(queued(fd, SIOCOUTQNSD));
  uint32_t end = TRY(get(fd, TCP_QUEUE_SEQ));
  if (into.finished()) {  // the end of the stream takes a number too, as long as it is not acknowledged
    end -= 1;
    unacknowledged -= std::min<size_t>(unacknowledged, 1);
    unsent -= std::min<size_t>(unsent, 1);
  }
  std::string all = TRY(peek(fd, unacknowledged, kRetransmitted));
  into.send_first = end - static_cast<uint32_t>(unacknowledged);
  size_t sent = unacknowledged - std::min(unacknowledged, unsent);
  into.unacknowledged = all.substr(0, sent);
  into.unsent = all.substr(sent);
  return {};
}

// How much of what was received lies before an urgent byte; all of it when there is none; more when that is impossible.
size_t received_before_mark(const TcpConnection& connection) {
  if (connection.urgent.received == TcpUrgent::Received::none) return connection.received.size();
  uint32_t from_end = connection.receive_next - connection.urgent.at;
  bool possible = from_end > 0 && from_end <= connection.received.size();
  return possible ? connection.received.size() - from_end : SIZE_MAX;
}

}  // namespace

TcpConnection TcpConnection::without_queues() const {
  return {state,
          local,
          peer,
          {},
          {},
          {},
          receive_next,
          send_first,
          largest_segment,
          timestamps,
          selective_acknowledgements,
          window_scaling,
          send_scale,
          receive_scale,
          timestamp,
          window};
}
bool TcpConnection::peer_finished() const {
  return state == TcpState::close_wait || state == TcpState::last_ack || state == TcpState::closing;
}
bool TcpConnection::finished() const {
  return state == TcpState::fin_wait1 || state == TcpState::fin_wait2 || state == TcpState::closing ||
         state == TcpState::last_ack;
}

Result<RepairMode> RepairMode::enter(int fd, const DropFilter& drop, std::string filter) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return last_error("fcntl(F_DUPFD_CLOEXEC)");
  int reuse = TRY(read_option(fd, SOL_SOCKET, SO_REUSEADDR));
  RepairMode mode(std::move(copy), reuse, std::move(filter));
  TRY(drop.attach(fd));
  TRY(set(fd, TCP_REPAIR, kOn));
  return mode;
}

RepairMode::~RepairMode() {
  if (!fd_.valid()) return;
  // Nothing can be done about a failure; none is known of a socket that could enter.
  (void)set_option(fd_.get(), IPPROTO_TCP, TCP_REPAIR, kOffWithoutProbe);
  (void)set_option(fd_.get(), SOL_SOCKET, SO_REUSEADDR, reuse_);
  (void)remove_filter(fd_.get());
  (void)set_filter(fd_.get(), filter_);
}

bool in_repair_mode(int fd) {
  auto on = read_option(fd, IPPROTO_TCP, TCP_REPAIR);
  return on && *on == kOn;
}

void leave_repair_mode(int fd) {
  if (!in_repair_mode(fd)) return;
  (void)set_option(fd, IPPROTO_TCP, TCP_REPAIR, kOffWithoutProbe);
  (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);  // what accepted connections of servers have
  (void)remove_filter(fd);
}

Result<TcpState> tcp_state(int fd) { return static_cast<TcpState>(TRY(info_of(fd)).tcpi_state); }

bool has_urgent_byte(int fd) {
  char byte = 0;
  return ::recv(fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1;
}

// The request itself takes a number.
Result<uint32_t> first_number(const RepairMode& socket) {
  TRY(set(socket.fd(), TCP_REPAIR_QUEUE, kSendQueue));
  uint32_t next = TRY(get(socket.fd(), TCP_QUEUE_SEQ));
  TRY(set(socket.fd(), TCP_REPAIR_QUEUE, kNoQueue));
  return next - 1;
}

// tcp_v4_connect() chooses one only when there is none.
Result<void> choose_first_number(int fd, uint32_t number) {
  TRY(set(fd, TCP_REPAIR, kOn));
  TRY(set(fd, TCP_REPAIR_QUEUE, kSendQueue));
  TRY(set(fd, TCP_QUEUE_SEQ, static_cast<int>(number)));
  TRY(set(fd, TCP_REPAIR_QUEUE, kNoQueue));
  return set(fd, TCP_REPAIR, kOffWithoutProbe);
}

Result<TcpConnection> read_connection(const RepairMode& socket, const TcpUrgent& urgent) {
  int fd = socket.fd();
  TcpConnection connection{};
  connection.urgent = urgent;
  tcp_info info = TRY(info_of(fd));
  connection.state = static_cast<TcpState>(info.tcpi_state);
  connection.local = TRY(own_address(fd));
  connection.peer = TRY(peer_address(fd));
  connection.timestamps = (info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0;
  connection.selective_acknowledgements = (info.tcpi_options & TCPI_OPT_SACK) != 0;
  connection.window_scaling = (info.tcpi_options & TCPI_OPT_WSCALE) != 0;
  connection.send_scale = info.tcpi_snd_wscale;
  connection.receive_scale = info.tcpi_rcv_wscale;
  connection.largest_segment = TRY(get(fd, TCP_MAXSEG));
  if (connection.timestamps) connection.timestamp = TRY(get(fd, TCP_TIMESTAMP));
  tcp_repair_window window{};
  socklen_t length = sizeof window;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &length) != 0) {
    return last_error("getsockopt(TCP_REPAIR_WINDOW)");
  }
  connection.window = {window.snd_wl1, window.snd_wnd, window.max_window, window.rcv_wnd, window.rcv_wup};
  TRY(read_queues(fd, connection));
  return connection;
}

Result<void> rebuild_connection(int fd, const TcpConnection& connection) {
  if (connection.received.size() > kMostQueue || connection.unacknowledged.size() > kMostQueue) {
    return error(ErrorKind::corrupt, "a TCP connection with an impossible queue");
  }
  constexpr uint32_t kMostScale = 14;  // RFC 7323, section 2.3
  if (connection.send_scale > kMostScale || connection.receive_scale > kMostScale) {
    return error(ErrorKind::corrupt, "a TCP connection with an impossible window");
  }
  auto first_unread = connection.receive_next - static_cast<uint32_t>(connection.received.size());
  size_t at_first = received_before_mark(connection);
  if (at_first > connection.received.size()) return error(ErrorKind::corrupt, "an urgent byte that was not received");
  TRY(set(fd, TCP_REPAIR, kOn));
  constexpr size_t kFitsAnyway = 8192;
  bool much_sent = connection.unacknowledged.size() + connection.unsent.size() > kFitsAnyway;
  if (much_sent) TRY(enlarge_send_buffer(fd, static_cast<int>(kMostQueue / 2)));
  if (connection.received.size() > kFitsAnyway) TRY(enlarge_receive_buffer(fd, static_cast<int>(kMostQueue / 2)));
  TRY(bind_to(fd, connection.local));
  TRY(set(fd, TCP_REPAIR_QUEUE, kReceiveQueue));
  TRY(set(fd, TCP_QUEUE_SEQ, static_cast<int>(first_unread)));
  TRY(set(fd, TCP_REPAIR_QUEUE, kSendQueue));
  TRY(set(fd, TCP_QUEUE_SEQ, static_cast<int>(connection.send_first)));
  TRY(connect_to(fd, connection.peer));
  tcp_repair_opt options[4];
  size_t count = 0;
  options[count++] = {kSegmentOption, connection.largest_segment};
  if (connection.window_scaling) {
    options[count++] = {kScaleOption, (connection.send_scale & 0xff) | (connection.receive_scale & 0xff) << 16};
  }
  if (connection.selective_acknowledgements) options[count++] = {kSelectiveOption, 0};
  if (connection.timestamps) options[count++] = {kTimestampOption, 0};
  if (::setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, static_cast<socklen_t>(count * sizeof options[0])) !=
      0) {
    return last_error("setsockopt(TCP_REPAIR_OPTIONS)");
  }
  if (connection.timestamps) TRY(set(fd, TCP_TIMESTAMP, static_cast<int>(connection.timestamp)));
  TRY(set(fd, TCP_REPAIR_QUEUE, kReceiveQueue));
  TRY(put(fd, std::string_view(connection.received).substr(0, at_first)));
  TRY(set(fd, TCP_REPAIR_QUEUE, kSendQueue));
  TRY(put_sent(fd, connection.unacknowledged, connection.send_first, connection.urgent));
  TRY(set(fd, TCP_REPAIR_QUEUE, kNoQueue));
  TcpWindow window = connection.window;
  uint32_t next = first_unread + static_cast<uint32_t>(at_first);
  auto at_most = [&](uint32_t& number) {  // what is received once more is not counted yet
    auto beyond = static_cast<int32_t>(number - next);
    if (beyond <= 0) return uint32_t{0};
    number = next;
    return static_cast<uint32_t>(beyond);
  };
  window.receive += at_most(window.receive_from);  // it ends where it did
  at_most(window.last_update);
  tcp_repair_window told{window.last_update, window.size, window.largest, window.receive, window.receive_from};
  if (::setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &told, sizeof told) != 0) {
    return last_error("setsockopt(TCP_REPAIR_WINDOW)");
  }
  return {};
}

Result<void> add_unacknowledged(int fd, const TcpConnection& connection) {
  if (connection.unacknowledged.size() > kMostQueue || connection.unsent.size() > kMostQueue) {
    return error(ErrorKind::corrupt, "a TCP connection with an impossible queue");
  }
  TRY(enlarge_send_buffer(fd, static_cast<int>(kMostQueue / 2)));
  TRY(set(fd, TCP_REPAIR_QUEUE, kSendQueue));
  TRY(put_sent(fd, connection.unacknowledged, connection.send_first, connection.urgent));
  return set(fd, TCP_REPAIR_QUEUE, kNoQueue);
}

namespace {

bool has_come(int fd, size_t bytes) {
  auto unread = queued(fd, SIOCINQ);
  return has_urgent_byte(fd) || (unread && *unread >= bytes);
}

// The kernel makes an urgent byte of nothing but a packet that has one. What follows it is put into the queue as usual.
// Nobody is told of it by a signal for a second time.
Result<void> receive_urgent(int fd, const TcpConnection& connection) {
  constexpr int kMostLooks = 200;
  constexpr std::chrono::milliseconds kBetweenLooks(1);
  size_t before = received_before_mark(connection);
  FileOwner owner = TRY(file_owner(fd));
  TRY(set_file_owner(fd, {owner.type, 0, owner.signal}));
  TRY(set(fd, TCP_REPAIR, kOffWithoutProbe));
  TRY(deliver_segment(connection, connection.urgent.at, std::string_view(connection.received).substr(before, 1),
                      false));
  for (int look = 0; look < kMostLooks && !has_come(fd, before + 1); ++look) std::this_thread::sleep_for(kBetweenLooks);
  char byte = 0;
  bool read = connection.urgent.received == TcpUrgent::Received::read;
  if (read) (void)::recv(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT);  // impossible since it is read with the others
  TRY(set(fd, TCP_REPAIR, kOn));
  TRY(set(fd, TCP_REPAIR_QUEUE, kReceiveQueue));
  // Should it not have come, it is a byte like the others: the stream counts for more than the mark.
  uint32_t lacking = std::min<uint32_t>(connection.receive_next - TRY(get(fd, TCP_QUEUE_SEQ)), kMostQueue);
  if (lacking <= connection.received.size() - before) {
    TRY(put(fd, std::string_view(connection.received).substr(connection.received.size() - lacking)));
  }
  TRY(set(fd, TCP_REPAIR_QUEUE, kNoQueue));
  return set_file_owner(fd, owner);
}

}  // namespace

Result<void> end_repair(int fd, const TcpConnection& connection, bool probe) {
  if (connection.urgent.received != TcpUrgent::Received::none) TRY(receive_urgent(fd, connection));
  return set(fd, TCP_REPAIR, probe ? kOff : kOffWithoutProbe);
}

Result<void> send_unsent(int fd, const TcpConnection& connection) {
  uint32_t first = connection.send_first + static_cast<uint32_t>(connection.unacknowledged.size());
  return put_sent(fd, connection.unsent, first, connection.urgent);
}

}  // namespace godwit::sys
