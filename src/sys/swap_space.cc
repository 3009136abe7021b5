#include "sys/swap_space.h"

#include <sys/sysinfo.h>

namespace godwit::sys {

bool has_swap_space() {
  struct sysinfo info;
  return ::sysinfo(&info) != 0 || info.totalswap != 0;
}

}  // namespace godwit::sys
