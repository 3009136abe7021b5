#include "coprocess/left_sockets.h"

#include "sys/open_sockets.h"
#include "sys/tcp_repair.h"

namespace godwit::coprocess {

void let_go_of_sockets(const std::string& cgroup) {
  sys::for_each_open_socket(cgroup + "/procs", sys::leave_repair_mode);
}

}  // namespace godwit::coprocess
