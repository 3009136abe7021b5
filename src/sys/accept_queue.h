// AcceptQueue: connections put where a listening socket's program takes them from with accept(2), as they were at
// another node or before they were taken out; and those that are begun but not complete yet (SYN_RECV).
//
// A small BPF program on the ingress of an interface lets an acknowledgement make a connection with given sequence
// numbers and options, as the kernel lets one that bears a SYN cookie. For a complete connection we deliver that
// acknowledgement ourselves, and what was received behind it. Everything happens in the calling thread's network
// namespace. Source: Linux net/core/filter.c (bpf_sk_assign_tcp_reqsk), bpf(2), tc-bpf(8), RFC 9293.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/accept_queue_record.h"
#include "sys/bpf_programs.h"
#include "sys/tcp_repair.h"

namespace godwit::sys {

using TcpRequest = godwit_tcp_request;

class AcceptQueue {
 public:
  // Takes milliseconds. Needs CAP_BPF and CAP_NET_ADMIN; errors: unsupported before Linux 6.9.
  static Result<AcceptQueue> load();

  // Makes what expect() and put() need at interfaces, some milliseconds for each, if they are there.
  static void make_ready(std::span<const std::string> interfaces);

  // Whether requests may wait for the listening socket `fd`; a few microseconds.
  Result<bool> has_requests(int fd) const;
  // All requests; walks the kernel's table of connections, about a millisecond.
  Result<std::vector<TcpRequest>> requests() const;

  // Requires: no socket has these connections; listening sockets have room. Errors: failed when one is not taken.
  Result<void> put(std::span<const TcpConnection> connections) const;
  // Requests complete when their acknowledgement comes in through one of the interfaces, for as long as those live.
  Result<void> expect(std::span<const TcpRequest> requests, std::span<const std::string> interfaces) const;

 private:
  explicit AcceptQueue(BpfPrograms programs) : programs_(std::move(programs)) {}
  Result<void> add(const TcpRequest& request) const;
  Result<bool> is_expected(const TcpRequest& request) const;
  Result<void> put_one(const TcpConnection& connection) const;
  BpfPrograms programs_;
};

}  // namespace godwit::sys
