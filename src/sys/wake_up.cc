#include "sys/wake_up.h"

#include <sys/eventfd.h>

#include "sys/errno.h"

namespace godwit::sys {

Result<WakeUp> WakeUp::make() {
  UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return last_error("eventfd");
  return WakeUp(std::move(fd));
}

void WakeUp::set() { eventfd_write(fd_.get(), 1); }

void WakeUp::clear() {
  eventfd_t count = 0;
  eventfd_read(fd_.get(), &count);
}

}  // namespace godwit::sys
