// What is left to be done for a job's TCP connections with others outside when it runs: they take part again, and what
// waited to be accepted waits again.
//
// The worker that has them does it. It leaves a note in the job's run directory (a file, which only root reads), so
// that the daemon can do it when the worker is killed. Source: tcp(7), TCP_REPAIR.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "godwit/image.pb.h"
#include "sys/tcp_repair.h"

namespace godwit::objects {

bool is_connected(sys::TcpState state);

// `fd`: in repair mode. `inside`: the other end is in the job too, and knows where this one stands.
Result<void> take_part(int fd, const sys::TcpConnection& connection, bool inside);
// Then: what is sent in the ordinary way, options and ends. `flags`: of the description.
Result<void> finish(int fd, const sys::TcpConnection& connection, const image::TcpSocket& socket, uint32_t flags);

// As image.TcpRest wants it: `connection` is what `socket` says, later.
image::TcpSocket rest_of(const sys::TcpConnection& connection, const image::TcpSocket& socket);

// Nothing is left to be done when `rest` is empty: no note.
Result<void> note(const std::string& run_directory, const image::TcpRest& rest);
void forget_note(const std::string& run_directory);
// Whoever left the note is dead, and the job is frozen. Connections that take part already are passed over; what fails
// is lost, as if its peer had reset it. `cgroup`: of the job's processes.
void do_as_noted(const std::string& run_directory, const std::string& cgroup, pid_t init_host_pid);

}  // namespace godwit::objects
