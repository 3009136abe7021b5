#include "sys/random.h"

#include <sys/random.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<void> fill_randomly(std::span<std::byte> into) {
  while (!into.empty()) {
    ssize_t count = ::getrandom(into.data(), into.size(), 0);
    if (count < 0) return last_error("getrandom");
    into = into.subspan(static_cast<size_t>(count));
  }
  return {};
}

}  // namespace godwit::sys
