// Sockets that a worker held still when it died (sys/tcp_repair.h): nobody else can let go of them. Source: tcp(7),
// pidfd_getfd(2).
#pragma once

#include <string>

namespace godwit::coprocess {

// Of all processes in the job's cgroup; best called before it is thawed. Those that end meanwhile are passed over.
void let_go_of_sockets(const std::string& cgroup);

}  // namespace godwit::coprocess
