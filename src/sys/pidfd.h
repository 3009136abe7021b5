// Descriptors of another process: pidfd_getfd(2); and whether two are one: kcmp(2). sys/namespaces.h opens pidfds.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// Our own descriptor for the open file description behind `number` of the process. Errors: gone when there is none.
Result<UniqueFd> pidfd_getfd(int pidfd, int number);

// The kernel's order of two open file descriptions: 0 the same, 1 less, 2 greater. Any total order, good while both are
// open.
Result<int> compare_descriptions(pid_t first, int first_fd, pid_t second, int second_fd);
// Whether two processes share one descriptor table. One that is ending has none any more.
Result<bool> same_descriptor_table(pid_t first, pid_t second);

}  // namespace godwit::sys
