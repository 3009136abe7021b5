// mount(2) and pivot_root(2). Mounts belong to the caller's mount namespace: nothing is undone on failure.
#pragma once

#include <string>

#include "base/result.h"

namespace godwit::sys {

// A new file system of `type` at `target`. `flags`: MS_*; `data`: the file system's own options.
Result<void> mount_new(const std::string& type, const std::string& target, unsigned long flags = 0,
                       const std::string& data = {});
// What is at `from` seen at `to` too, a directory or a file; with `recursive` the mounts below it as well.
Result<void> bind_mount(const std::string& from, const std::string& to, bool recursive = false);
Result<void> remount_read_only(const std::string& target);
// Set-user-id and set-group-id bits and file capabilities give nothing any more, on any mount of this mount namespace.
Result<void> ignore_set_id_bits();
// Nothing mounted here from now on is seen in another mount namespace, nor the other way round.
Result<void> make_all_mounts_private();
// What is mounted outside from now on is seen here too, not the other way round.
Result<void> make_all_mounts_slaves();
Result<void> unmount(const std::string& target, int flags = 0);
// Makes `root`, a mount point, the root and working directory of this mount namespace, and lets go of all there was
// before.
Result<void> switch_root(const std::string& root);

}  // namespace godwit::sys
