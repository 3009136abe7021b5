// The sockets that the processes of a cgroup have open: proc(5), pidfd_getfd(2).
#pragma once

#include <functional>
#include <string>

namespace godwit::sys {

// Calls `work` with a descriptor of our own for each; one that is open several times comes several times. Processes
// that end meanwhile are passed over.
void for_each_open_socket(const std::string& cgroup, const std::function<void(int fd)>& work);

}  // namespace godwit::sys
