// UrgentMarks: where the urgent data of a TCP connection is: of what came in, and of what was sent. The kernel shows
// half of it to programs (SIOCATMARK, MSG_OOB) and restores none of it; a BPF program reads it.
//
// Needs CAP_BPF, CAP_NET_ADMIN and a kernel with BTF. Source: tcp(7), RFC 6093, Linux net/ipv4/tcp_input.c
// (tcp_check_urg), bpf(2).
#pragma once

#include "base/result.h"
#include "sys/bpf_programs.h"
#include "sys/tcp_repair.h"

namespace godwit::sys {

class UrgentMarks {
 public:
  // Takes milliseconds.
  static Result<UrgentMarks> load();
  // Of a connected socket of the calling thread's network namespace. Some microseconds. Nothing is said of one that is
  // bound to an interface.
  Result<TcpUrgent> of(int fd) const;
  // Whether there may be any: something is queued. A system call.
  static bool may_be(int fd);

 private:
  explicit UrgentMarks(BpfPrograms programs) : programs_(std::move(programs)) {}
  BpfPrograms programs_;
};

}  // namespace godwit::sys
