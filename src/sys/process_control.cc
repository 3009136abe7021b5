#include "sys/process_control.h"

#include <sys/prctl.h>

namespace godwit::sys {

bool can_restore_timer_ids() { return ::prctl(static_cast<int>(kTimerCreateRestoreIds), kTimerIdsGet, 0, 0, 0) >= 0; }

}  // namespace godwit::sys
