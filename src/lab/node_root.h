// The file systems of a node: an overlay over the machine's root and over every other file system of the machine below
// it, and on top what a node has for itself: /proc, /sys, cgroup2, /dev, /tmp, /run, /var/lib/godwit, and the lab's
// common /shared.
//
// Writes go to the node's data directory, or to memory where that cannot carry an overlay (it is one itself). A file
// system that cannot be under an overlay is seen read-only, or else not at all. All of it belongs to the node's mount
// namespace. Source: Linux Documentation/filesystems/overlayfs.rst, devpts.rst, sharedsubtree.rst.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "lab/record.h"

namespace godwit::lab {

// Builds the root of node `node` and makes it the caller's.
// Requires: the caller is pid 1 of the node's pid namespace and in its mount, network, ipc, uts and cgroup namespaces.
Result<void> enter_node_root(const Record& record, uint32_t node);

}  // namespace godwit::lab
