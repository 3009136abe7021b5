#include "sys/feature_probe.h"

#include <linux/capability.h>

#include <algorithm>

#include "sys/kernel_probes.h"

namespace godwit::sys {

namespace {

struct Entry {
  const char* name;
  const char* title;
  Need need;
  ProbeResult (*probe)();
  const char* lost;
};

ProbeResult sys_admin() { return probe_capability(CAP_SYS_ADMIN); }
ProbeResult sys_ptrace() { return probe_capability(CAP_SYS_PTRACE); }
ProbeResult checkpoint_restore() { return probe_capability(CAP_CHECKPOINT_RESTORE); }
ProbeResult sys_resource() { return probe_capability(CAP_SYS_RESOURCE); }
ProbeResult net_admin() { return probe_capability(CAP_NET_ADMIN); }

constexpr Entry kEntries[] = {
    {"kernel_release", "kernel release", Need::required, probe_kernel_release,
     "only x86-64 kernels from 6.7 on are supported"},
    {"cap_sys_admin", "CAP_SYS_ADMIN", Need::required, sys_admin,
     "the daemon cannot make namespaces: no job can be started"},
    {"cap_sys_ptrace", "CAP_SYS_PTRACE", Need::required, sys_ptrace, "programs of other users cannot be frozen"},
    {"ptrace", "ptrace seize and interrupt", Need::required, probe_ptrace, "no program can be frozen"},
    {"namespaces", "mount, ipc, uts, net, cgroup namespaces", Need::required, probe_namespaces,
     "no job can be started"},
    {"time_namespace", "time namespaces", Need::required, probe_time_namespace,
     "monotonic clocks would jump at a move: nothing can be moved here"},
    {"cgroup_freezer", "cgroup v2 freezer and kill", Need::required, probe_cgroup_freezer,
     "a process tree cannot be frozen as a whole: nothing can be moved from here"},
    {"clone3_set_tid", "clone3 with set_tid", Need::required, probe_clone3_set_tid,
     "processes cannot keep their pids: nothing can be moved here"},
    {"pidfd_getfd", "pidfd_getfd", Need::required, probe_pidfd_getfd,
     "open files cannot be read out: nothing can be moved from here"},
    {"kcmp", "kcmp", Need::required, probe_kcmp,
     "files shared between processes cannot be told apart: nothing can be moved from here"},
    {"mm_map", "prctl(PR_SET_MM_MAP)", Need::required, probe_mm_map,
     "an address space cannot be rebuilt: nothing can be moved here"},
    {"pagemap_scan", "PAGEMAP_SCAN", Need::required, probe_pagemap_scan,
     "pages in use cannot be found: nothing can be moved from here"},
    {"xsave", "XSAVE extended state", Need::required, probe_xsave,
     "vector registers cannot be moved: nothing can be moved from or to here"},
    {"userfaultfd_wp_async", "userfaultfd with WP_ASYNC", Need::optional, probe_userfaultfd_wp_async,
     "written pages cannot be tracked (the soft-dirty bit does not stand in for it): only total freezing works, so "
     "freezes last as long as the copy"},
    {"bpf_task_iterator", "BPF task iterators (BTF)", Need::optional, probe_bpf_task_iterator,
     "the time left of a sleep in progress cannot be read: such a sleep would begin anew"},
    {"cap_checkpoint_restore", "CAP_CHECKPOINT_RESTORE", Need::optional, checkpoint_restore,
     "CAP_SYS_ADMIN must stand in for it"},
    {"cap_sys_resource", "CAP_SYS_RESOURCE", Need::optional, sys_resource,
     "hard limits above the daemon's own and pipes above fs.pipe-max-size cannot be restored here"},
    {"cap_net_admin", "CAP_NET_ADMIN", Need::optional, net_admin,
     "routes cannot be set: jobs have no network of their own"},
    {"tcp_repair", "TCP_REPAIR", Need::optional, probe_tcp_repair, "jobs with TCP connections are refused"},
    {"tun", "TUN", Need::optional, probe_tun,
     "what a program wrote to connections that it has closed is lost at a move if its peer has not received it by "
     "then"},
    {"nftables", "nftables", Need::optional, probe_nftables,
     "packets cannot be held at a move: the sender's transport has to send them again"},
    {"cpu_controller", "cgroup cpu controller", Need::optional, probe_cpu_controller,
     "a program that writes too fast cannot be slowed down: --on-timeout throttle is refused"},
    {"vxlan", "VXLAN", Need::optional, probe_vxlan,
     "nodes must share one link: virtual addresses cannot cross routers"},
    {"overlayfs", "overlayfs", Need::optional, probe_overlayfs, "`godwit lab` cannot make nodes here"},
};

}  // namespace

std::vector<Feature> probe_features() {
  std::vector<Feature> features;
  for (const Entry& entry : kEntries) {
    ProbeResult found = entry.probe();
    features.push_back({.name = entry.name,
                        .title = entry.title,
                        .need = entry.need,
                        .present = found.has_value(),
                        .detail = found ? *found : found.error().message(),
                        .lost = entry.lost});
  }
  return features;
}

bool can_move(const std::vector<Feature>& features) {
  return std::ranges::all_of(features, [](const Feature& f) { return f.present || f.need == Need::optional; });
}

}  // namespace godwit::sys
