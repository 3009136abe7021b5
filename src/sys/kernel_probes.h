// One function for each kernel feature that feature_probe lists: it uses the feature once and returns a few words on
// what was found, or the error that the kernel gave. None of them leaves anything behind.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::sys {

using ProbeResult = Result<std::string>;

ProbeResult probe_kernel_release();
ProbeResult probe_ptrace();          // PTRACE_SEIZE and PTRACE_INTERRUPT of a child
ProbeResult probe_namespaces();      // mount, ipc, uts, net, cgroup
ProbeResult probe_time_namespace();  // CLONE_NEWTIME and its offsets file
ProbeResult probe_cgroup_freezer();
ProbeResult probe_cpu_controller();  // cgroup v2: a group can be made, frozen and killed
ProbeResult probe_clone3_set_tid();  // a child with a chosen pid in a new pid namespace
ProbeResult probe_pidfd_getfd();
ProbeResult probe_kcmp();
ProbeResult probe_mm_map();                // prctl(PR_SET_MM_MAP)
ProbeResult probe_pagemap_scan();          // ioctl(PAGEMAP_SCAN), Linux 6.7
ProbeResult probe_userfaultfd_wp_async();  // UFFD_FEATURE_WP_ASYNC, Linux 6.7
ProbeResult probe_bpf_task_iterator();     // a program over all tasks, which needs BTF
ProbeResult probe_tun();
ProbeResult probe_tcp_repair();
ProbeResult probe_overlayfs();
ProbeResult probe_nftables();
ProbeResult probe_vxlan();
ProbeResult probe_xsave();  // the CPU's extended state components
// `number`: CAP_* (linux/capability.h).
ProbeResult probe_capability(int number);

}  // namespace godwit::sys
