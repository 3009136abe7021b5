#include "sys/huge_pages.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys/errno.h"
#include "sys/text_file.h"

namespace godwit::sys {

bool huge_pages_allowed() {
  auto setting = read_text("/sys/kernel/mm/transparent_hugepage/enabled");
  return setting && setting->find("[never]") == std::string::npos;
}

bool huge_pages_for_all() {
  auto setting = read_text("/sys/kernel/mm/transparent_hugepage/enabled");
  return setting && setting->find("[always]") != std::string::npos;
}

Result<void> collapse_to_huge_pages(int pidfd, AddressRange range) {
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, asm-generic/mman-common.h
  iovec memory{reinterpret_cast<void*>(range.start), range.size()};
  if (::syscall(SYS_process_madvise, pidfd, &memory, 1, kCollapse, 0) < 0) {
    return last_error("process_madvise(MADV_COLLAPSE)");
  }
  return {};
}

}  // namespace godwit::sys
