#include "sys/ended_connection.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <span>

#include "sys/errno.h"
#include "sys/socket_names.h"
#include "sys/socket_options.h"
#include "sys/socket_state.h"
#include "sys/stream_socket.h"
#include "sys/tcp_repair.h"

namespace godwit::sys {

Result<UniqueFd> make_ended_connection(int family, const std::string& unread) {
  std::string loopback = family == AF_INET6 ? "::1" : "127.0.0.1";
  ListeningSocket listening = TRY(listen_stream(loopback, 0));
  UniqueFd ours = TRY(make_socket({family, SOCK_STREAM, IPPROTO_TCP}));
  TRY(connect_to(ours.get(), TRY(own_address(listening.fd.get()))));
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  UniqueFd other = TRY(accept_stream(listening.fd.get(), deadline));
  if (!unread.empty()) {
    int room = static_cast<int>(std::min<size_t>(unread.size() * 2, size_t{1} << 29));
    TRY(enlarge_receive_buffer(ours.get(), room));
    TRY(send_all(other.get(), std::as_bytes(std::span(unread)), deadline));
  }
  TRY(shut_down(other.get(), false, true));
  TRY(shut_down(ours.get(), false, true));
  other.reset();
  // The last acknowledgement comes over the loopback device, at once.
  while (TRY(tcp_state(ours.get())) != TcpState::closed) {
    if (std::chrono::steady_clock::now() > deadline) return error(ErrorKind::exhausted, "a connection does not end");
  }
  return ours;
}

Result<std::string> peek_unread(int fd) {
  int bytes = 0;
  if (::ioctl(fd, SIOCINQ, &bytes) != 0) return last_error("ioctl(SIOCINQ)");
  std::string unread(static_cast<size_t>(std::max(bytes, 0)), '\0');
  if (unread.empty()) return unread;
  ssize_t count = ::recv(fd, unread.data(), unread.size(), MSG_PEEK | MSG_DONTWAIT);
  if (count < 0) return last_error("recv", "looking into a TCP queue");
  unread.resize(static_cast<size_t>(count));
  return unread;
}

}  // namespace godwit::sys
