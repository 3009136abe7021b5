// Descriptors of another process: pidfd_getfd(2); and whether two are one: kcmp(2). sys/namespaces.h opens pidfds.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// Our own descriptor for the open file description behind `number` of the process. Errors: gone when there is none.
Result<UniqueFd> pidfd_getfd(int pidfd, int number);

// Whether descriptor `number` of the process and our own `own` are one open file description. Errors: gone when the
// process, or its descriptor, is.
Result<bool> same_description(pid_t holder, int number, int own);
// Whether two processes share one descriptor table. One that is ending has none any more.
Result<bool> same_descriptor_table(pid_t first, pid_t second);

}  // namespace godwit::sys
