// A TCP connection as plain values, taken out of one socket and put into another: TCP_REPAIR.
//
// RepairMode holds a socket still: it lets no packet in and its close tells the other side nothing. The end of the
// scope lets it go on as it was. Source: tcp(7), Linux net/ipv4/tcp.c (do_tcp_setsockopt, tcp_peek_sndq,
// tcp_send_rcvq), include/uapi/linux/tcp.h.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sys/socket_filter.h"

namespace godwit::sys {

class RepairMode {
 public:
  // Errors: unsupported when a filter of the program's cannot be put back.
  static Result<RepairMode> enter(int fd, const DropFilter& drop);
  ~RepairMode();
  RepairMode(RepairMode&& other) noexcept = default;
  RepairMode& operator=(RepairMode&&) = delete;
  int fd() const { return fd_.get(); }
  const std::string& filter() const { return filter_; }
  // It stays as it is: whoever closes it last does so in silence.
  void commit() && { fd_.reset(); }

 private:
  RepairMode(UniqueFd fd, int reuse, std::string filter)
      : fd_(std::move(fd)), reuse_(reuse), filter_(std::move(filter)) {}
  UniqueFd fd_;
  int reuse_;  // SO_REUSEADDR, which repair mode overwrites
  std::string filter_;
};
// Lets go of sockets that somebody who died has left in repair mode. Others are not touched.
void leave_repair_mode(int fd);

enum class TcpState : uint8_t {  // as the kernel numbers them, include/net/tcp_states.h
  established = 1,
  syn_sent,
  syn_received,
  fin_wait1,
  fin_wait2,
  time_wait,
  closed,
  close_wait,
  last_ack,
  listening,
  closing
};
Result<TcpState> tcp_state(int fd);
// An urgent byte that the program has not read.
bool has_urgent_byte(int fd);

struct TcpWindow {
  uint32_t last_update, size, largest, receive, receive_from;  // snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup
};
struct TcpConnection {
  TcpState state;
  std::string local, peer;  // sockaddr
  std::string received, unacknowledged, unsent;
  uint32_t receive_next;  // the next byte expected, the end of the stream not counted
  uint32_t send_first;    // the first byte of `unacknowledged`
  uint32_t largest_segment;
  bool timestamps, selective_acknowledgements, window_scaling;
  uint32_t send_scale, receive_scale, timestamp;
  TcpWindow window;

  bool peer_finished() const;  // its FIN was received
  bool finished() const;       // ours is sent, or waits behind `unsent`
};

// A connection that is asked for and not answered yet: the first sequence number of what it sends, and of which socket
// not yet connected. The request that a socket sends then is the same again.
Result<uint32_t> first_number(const RepairMode& socket);
Result<void> choose_first_number(int fd, uint32_t number);

Result<TcpConnection> read_connection(const RepairMode& socket);
// A socket in repair mode, connected, with everything but what is unsent. In the calling thread's network namespace.
Result<void> rebuild_connection(int fd, const TcpConnection& connection);
// It takes part again. With `probe` it asks the other side where it stands, at once.
Result<void> end_repair(int fd, bool probe);
Result<void> send_unsent(int fd, const std::string& bytes);

}  // namespace godwit::sys
