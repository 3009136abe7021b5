// Whether both nodes see the very same file system object at a path, so that
// nothing has to move.
//
// Proof on one machine: equal boot identifier, device and inode. Proof over a
// network file system: the destination itself has the same one mounted there,
// of the same source and root, with the same inode. What the source says is
// never enough.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "godwit/image.pb.h"
#include "proc/mountinfo.h"

namespace godwit::files {

// `here`: what is at the file's path on this node; `mounts`: of this node.
bool is_shared(const image::File& file, const struct stat& here, bool same_machine,
               const std::vector<proc::Mount>& mounts);

}  // namespace godwit::files
