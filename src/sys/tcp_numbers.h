// TcpNumbers: where a TCP connection stands, of what the kernel shows programs in parts only: where urgent data is (it
// shows half of that: SIOCATMARK, MSG_OOB), and everything of a connection that no program has open any more. A BPF
// program reads it.
//
// Needs CAP_BPF, CAP_NET_ADMIN and a kernel with BTF. Source: tcp(7), RFC 6093, Linux net/ipv4/tcp_input.c
// (tcp_check_urg), bpf(2).
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "sys/bpf_programs.h"
#include "sys/tcp_numbers_record.h"
#include "sys/tcp_repair.h"

namespace godwit::sys {

// A connection, all but its queues, of which `connection` has nothing: what it has sent, and what it has to send.
struct TcpStanding {
  TcpConnection connection;
  uint32_t send_next;  // the first number that was not sent yet
  uint32_t send_end;   // the number behind the last byte, and behind the end of the stream if the program has ended it
};

class TcpNumbers {
 public:
  // Takes milliseconds.
  static Result<TcpNumbers> load();
  // Of a connected socket of the calling thread's network namespace. Some microseconds. Nothing is said of one that is
  // bound to an interface.
  Result<TcpUrgent> urgent_of(int fd) const;
  // Of a connection in it; nothing when there is none. `local`, `peer`: sockaddr.
  Result<std::optional<TcpStanding>> standing(const std::string& local, const std::string& peer) const;

 private:
  explicit TcpNumbers(BpfPrograms programs) : programs_(std::move(programs)) {}
  Result<std::optional<godwit_tcp_numbers>> read(const std::string& local, const std::string& peer) const;
  BpfPrograms programs_;
};

// Whether there may be any urgent data: something is queued. A system call.
bool may_have_urgent(int fd);

}  // namespace godwit::sys
