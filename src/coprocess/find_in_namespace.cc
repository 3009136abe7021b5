#include "coprocess/find_in_namespace.h"

#include <string>

#include "freeze/process_list.h"

namespace godwit::coprocess {

Result<std::map<pid_t, pid_t>> threads_by_inner_tid(pid_t host_pid) {
  std::map<pid_t, pid_t> threads;
  for (pid_t thread : TRY(freeze::list_threads(host_pid))) threads[TRY(freeze::inner_tid(host_pid, thread))] = thread;
  return threads;
}

Result<pid_t> find_child(pid_t parent_host_pid, pid_t pid) {
  for (pid_t child : TRY(freeze::list_children(parent_host_pid))) {
    auto inner = freeze::inner_tid(child, child);
    if (inner && *inner == pid) return child;
  }
  return error(ErrorKind::gone, "process " + std::to_string(pid) + " ended as it was made");
}

}  // namespace godwit::coprocess
