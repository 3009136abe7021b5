#include "coprocess/passing_processes.h"

#include <algorithm>
#include <set>
#include <utility>

namespace godwit::coprocess {

bool PassingProcesses::may_have_passed(std::optional<uint32_t> next_pid, const image::LogicalHost& now) {
  constexpr uint32_t kMost = 100'000;  // looked for one by one
  auto before = std::exchange(next_, next_pid);
  if (!std::exchange(looked_, true)) return false;
  if (!before || !next_pid || *next_pid < *before || *next_pid - *before > kMost) return true;
  std::set<uint32_t> here;
  for (const image::Process& process : now.processes()) {
    if (process.zombie()) continue;  // it may have lived meanwhile
    here.insert(static_cast<uint32_t>(process.pid()));
    for (const image::Thread& thread : process.threads()) here.insert(static_cast<uint32_t>(thread.tid()));
  }
  for (uint32_t number = *before; number < *next_pid; ++number) {
    if (!here.contains(number)) return true;
  }
  return false;
}

}  // namespace godwit::coprocess
