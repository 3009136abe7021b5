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
  // `filter`: the socket's own (see read_filter()), which it gets back.
  static Result<RepairMode> enter(int fd, const DropFilter& drop, std::string filter);
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
bool in_repair_mode(int fd);
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
// Urgent data (RFC 6093): one byte of what was received, and one of what was sent, at most.
struct TcpUrgent {
  enum class Received : uint8_t { none, unread, read };  // read: by MSG_OOB, and the mark is still ahead
  Received received = Received::none;
  uint32_t at = 0;            // its sequence number
  char byte = 0;              // of one that is unread; in the stream too
  uint32_t first_unread = 0;  // of the stream
  bool sends = false;         // it is not acknowledged yet
  uint32_t sent_end = 0;      // the number behind it
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
  TcpUrgent urgent;  // first_unread and byte are in `received`

  TcpConnection without_queues() const;  // all the rest of it
  bool peer_finished() const;            // its FIN was received
  bool finished() const;                 // ours is sent, or waits behind `unsent`
};

// A connection that is asked for and not answered yet: the first sequence number of what it sends, and of which socket
// not yet connected. The request that a socket sends then is the same again.
Result<uint32_t> first_number(const RepairMode& socket);
Result<void> choose_first_number(int fd, uint32_t number);

// Requires: `urgent` is what the socket has. Errors: unsupported before Linux 6.9 when something unread lies before an
// urgent byte.
Result<TcpConnection> read_connection(const RepairMode& socket, const TcpUrgent& urgent);
// A socket in repair mode, connected, with everything but what is unsent, and what was received from an urgent byte on.
// In the calling thread's network namespace.
Result<void> rebuild_connection(int fd, const TcpConnection& connection);
// To one that was rebuilt without it, and is in repair mode still.
Result<void> add_unacknowledged(int fd, const TcpConnection& connection);
// It takes part again, with all that was received. With `probe` it asks the other side where it stands, at once.
Result<void> end_repair(int fd, const TcpConnection& connection, bool probe);
Result<void> send_unsent(int fd, const TcpConnection& connection);

}  // namespace godwit::sys
