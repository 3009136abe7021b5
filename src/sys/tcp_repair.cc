#include "sys/tcp_repair.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "sys/errno.h"
#include "sys/socket_names.h"
#include "sys/socket_options.h"

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

Result<void> put(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::send(fd, bytes.data(), std::min(bytes.size(), kPart), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) return last_error("send", "filling a TCP queue");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<void> read_queues(int fd, TcpConnection& into) {
  size_t unread = TRY(queued(fd, SIOCINQ));
  TRY(set(fd, TCP_REPAIR_QUEUE, kReceiveQueue));
  into.receive_next = TRY(get(fd, TCP_QUEUE_SEQ)) - (into.peer_finished() ? 1 : 0);
  into.received = TRY(peek(fd, unread, 0));
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

}  // namespace

bool TcpConnection::peer_finished() const {
  return state == TcpState::close_wait || state == TcpState::last_ack || state == TcpState::closing;
}
bool TcpConnection::finished() const {
  return state == TcpState::fin_wait1 || state == TcpState::fin_wait2 || state == TcpState::closing ||
         state == TcpState::last_ack;
}

Result<RepairMode> RepairMode::enter(int fd, const DropFilter& drop) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return last_error("fcntl(F_DUPFD_CLOEXEC)");
  int reuse = TRY(read_option(fd, SOL_SOCKET, SO_REUSEADDR));
  std::string filter = TRY(read_filter(fd));
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

void leave_repair_mode(int fd) {
  auto on = read_option(fd, IPPROTO_TCP, TCP_REPAIR);
  if (!on || *on != kOn) return;
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

Result<TcpConnection> read_connection(const RepairMode& socket) {
  int fd = socket.fd();
  TcpConnection connection{};
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
  TRY(set(fd, TCP_REPAIR, kOn));
  constexpr size_t kFitsAnyway = 8192;
  bool much_sent = connection.unacknowledged.size() + connection.unsent.size() > kFitsAnyway;
  if (much_sent) TRY(enlarge_send_buffer(fd, static_cast<int>(kMostQueue / 2)));
  if (connection.received.size() > kFitsAnyway) TRY(enlarge_receive_buffer(fd, static_cast<int>(kMostQueue / 2)));
  TRY(bind_to(fd, connection.local));
  auto first_unread = connection.receive_next - static_cast<uint32_t>(connection.received.size());
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
  TRY(put(fd, connection.received));
  TRY(set(fd, TCP_REPAIR_QUEUE, kSendQueue));
  TRY(put(fd, connection.unacknowledged));
  TRY(set(fd, TCP_REPAIR_QUEUE, kNoQueue));
  TcpWindow window = connection.window;
  auto at_most = [&](uint32_t& number) {  // an end that is received once more is not counted yet
    if (static_cast<int32_t>(number - connection.receive_next) > 0) number = connection.receive_next;
  };
  at_most(window.receive_from);
  at_most(window.last_update);
  tcp_repair_window told{window.last_update, window.size, window.largest, window.receive, window.receive_from};
  if (::setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &told, sizeof told) != 0) {
    return last_error("setsockopt(TCP_REPAIR_WINDOW)");
  }
  return {};
}

Result<void> end_repair(int fd, bool probe) { return set(fd, TCP_REPAIR, probe ? kOff : kOffWithoutProbe); }

Result<void> send_unsent(int fd, const std::string& bytes) { return put(fd, bytes); }

}  // namespace godwit::sys
