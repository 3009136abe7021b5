#include "objects/tcp_connection.h"

#include <arpa/inet.h>

#include <cstring>

#include "sys/ip_address.h"

namespace godwit::objects {

void tell(sys::TcpConnection connection, image::TcpSocket& into) {
  into.set_local(std::move(connection.local));
  into.set_peer(std::move(connection.peer));
  into.set_received(std::move(connection.received));
  into.set_unacknowledged(std::move(connection.unacknowledged));
  into.set_unsent(std::move(connection.unsent));
  into.set_receive_next(connection.receive_next);
  into.set_send_first(connection.send_first);
  into.set_largest_segment(connection.largest_segment);
  into.set_timestamps(connection.timestamps);
  into.set_selective_acknowledgements(connection.selective_acknowledgements);
  into.set_window_scaling(connection.window_scaling);
  into.set_send_scale(connection.send_scale);
  into.set_receive_scale(connection.receive_scale);
  into.set_timestamp(connection.timestamp);
  into.set_window_last_update(connection.window.last_update);
  into.set_window_size(connection.window.size);
  into.set_window_largest(connection.window.largest);
  into.set_window_receive(connection.window.receive);
  into.set_window_receive_from(connection.window.receive_from);
  into.set_urgent(static_cast<image::TcpSocket::Urgent>(connection.urgent.received));
  into.set_urgent_at(connection.urgent.at);
  into.set_sends_urgent(connection.urgent.sends);
  into.set_urgent_end(connection.urgent.sent_end);
}

sys::TcpConnection connection_of(const image::TcpSocket& socket) {
  sys::TcpConnection connection{};
  connection.state = static_cast<sys::TcpState>(socket.state());
  connection.local = socket.local();
  connection.peer = socket.peer();
  connection.received = socket.received();
  connection.unacknowledged = socket.unacknowledged();
  connection.unsent = socket.unsent();
  connection.receive_next = socket.receive_next();
  connection.send_first = socket.send_first();
  connection.largest_segment = socket.largest_segment();
  connection.timestamps = socket.timestamps();
  connection.selective_acknowledgements = socket.selective_acknowledgements();
  connection.window_scaling = socket.window_scaling();
  connection.send_scale = socket.send_scale();
  connection.receive_scale = socket.receive_scale();
  connection.timestamp = socket.timestamp();
  connection.window = {socket.window_last_update(), socket.window_size(), socket.window_largest(),
                       socket.window_receive(), socket.window_receive_from()};
  if (socket.urgent() == image::TcpSocket::UNREAD) connection.urgent.received = sys::TcpUrgent::Received::unread;
  if (socket.urgent() == image::TcpSocket::READ) connection.urgent.received = sys::TcpUrgent::Received::read;
  connection.urgent.at = socket.urgent_at();
  connection.urgent.sends = socket.sends_urgent();
  connection.urgent.sent_end = socket.urgent_end();
  return connection;
}

// Milliseconds; even, since the lowest bit of TCP_TIMESTAMP means something else.
uint32_t clock_advance(std::chrono::nanoseconds elapsed) {
  constexpr std::chrono::milliseconds kOnTheWay(100);  // between the capture and its arrival here, at most
  auto advance = std::chrono::duration_cast<std::chrono::milliseconds>(elapsed) + kOnTheWay;
  return static_cast<uint32_t>(advance.count()) & ~1u;
}

sys::TcpConnection later(sys::TcpConnection connection, std::chrono::nanoseconds elapsed) {
  connection.timestamp += clock_advance(elapsed);
  return connection;
}

namespace {

std::string end_key(const std::string& address) {
  sockaddr_in6 six{};
  if (address.size() == sizeof(sockaddr_in)) {
    sockaddr_in four{};
    std::memcpy(&four, address.data(), sizeof four);
    six.sin6_port = four.sin_port;
    six.sin6_addr.s6_addr[10] = six.sin6_addr.s6_addr[11] = 0xff;
    std::memcpy(&six.sin6_addr.s6_addr[12], &four.sin_addr, sizeof four.sin_addr);
  } else {
    std::memcpy(&six, address.data(), std::min(address.size(), sizeof six));
  }
  std::string text(reinterpret_cast<const char*>(&six.sin6_port), sizeof six.sin6_port);
  text.append(reinterpret_cast<const char*>(&six.sin6_addr), sizeof six.sin6_addr);
  return text;
}

}  // namespace

std::string key_of_ends(const std::string& local, const std::string& peer) { return end_key(local) + end_key(peer); }

bool is_within_job(const std::string& local, const std::string& peer) { return sys::ip_of(local) == sys::ip_of(peer); }

void tell(const sys::TcpRequest& request, image::TcpRequest& into) {
  into.set_local(request.ends.local, sizeof request.ends.local);
  into.set_peer(request.ends.peer, sizeof request.ends.peer);
  into.set_local_port(ntohs(request.ends.local_port));
  into.set_peer_port(ntohs(request.ends.peer_port));
  into.set_receive_first(request.receive_first);
  into.set_send_first(request.send_first);
  into.set_timestamp(request.timestamp);
  into.set_largest_segment(request.largest_segment);
  into.set_send_scale(request.send_scale);
  into.set_receive_scale(request.receive_scale);
  into.set_timestamps(request.timestamps != 0);
  into.set_selective_acknowledgements(request.selective_acknowledgements != 0);
  into.set_window_scaling(request.window_scaling != 0);
  into.set_explicit_congestion(request.explicit_congestion != 0);
}

Result<sys::TcpRequest> request_of(const image::TcpRequest& request) {
  sys::TcpRequest told{};
  constexpr uint32_t kMostScale = 14;  // RFC 7323
  bool possible = request.local().size() == sizeof told.ends.local && request.peer().size() == sizeof told.ends.peer &&
                  request.send_scale() <= kMostScale && request.receive_scale() <= kMostScale;
  if (!possible) return error(ErrorKind::corrupt, "an impossible request for a TCP connection");
  std::memcpy(told.ends.local, request.local().data(), sizeof told.ends.local);
  std::memcpy(told.ends.peer, request.peer().data(), sizeof told.ends.peer);
  told.ends.local_port = htons(static_cast<uint16_t>(request.local_port()));
  told.ends.peer_port = htons(static_cast<uint16_t>(request.peer_port()));
  told.receive_first = request.receive_first();
  told.send_first = request.send_first();
  told.timestamp = request.timestamp();
  told.largest_segment = static_cast<unsigned short>(request.largest_segment());
  told.send_scale = static_cast<unsigned char>(request.send_scale());
  told.receive_scale = static_cast<unsigned char>(request.receive_scale());
  told.timestamps = request.timestamps();
  told.selective_acknowledgements = request.selective_acknowledgements();
  told.window_scaling = request.window_scaling();
  told.explicit_congestion = request.explicit_congestion();
  return told;
}

}  // namespace godwit::objects
