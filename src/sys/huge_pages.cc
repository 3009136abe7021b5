#include "sys/huge_pages.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <filesystem>
#include <string_view>

#include "sys/errno.h"
#include "sys/text_file.h"

namespace godwit::sys {

bool huge_pages_allowed() {
  auto setting = read_text("/sys/kernel/mm/transparent_hugepage/enabled");
  return setting && setting->find("[never]") == std::string::npos;
}

bool huge_pages_for_all() {
  const std::string settings = "/sys/kernel/mm/transparent_hugepage";
  auto chosen = [](const std::filesystem::path& file, std::string_view choice) {
    auto setting = read_text(file);
    return setting && setting->find(choice) != std::string::npos;
  };
  if (chosen(settings + "/enabled", "[always]")) return true;
  std::error_code unreadable;
  for (const auto& size : std::filesystem::directory_iterator(settings, unreadable)) {
    if (chosen(size.path() / "enabled", "[always]")) return true;
  }
  return false;
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
