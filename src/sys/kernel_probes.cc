// See kernel_probes.h. Sources: the man pages of each call; Linux include/uapi/linux/{fs,userfaultfd,sched,tcp}.h.
#include "sys/kernel_probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cpuid.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <thread>

#include "base/unique_fd.h"
#include "sys/cpu_controller.h"
#include "sys/errno.h"
#include "sys/netlink_link.h"
#include "sys/netlink_route.h"
#include "sys/netlink_tunnel.h"
#include "sys/pagemap_scan.h"
#include "sys/ptrace.h"
#include "sys/text_file.h"

namespace godwit::sys {

namespace {

constexpr uint64_t kUffdWriteProtectUnpopulated = 1 << 13;  // UFFD_FEATURE_WP_UNPOPULATED, Linux 6.4
constexpr uint64_t kUffdWriteProtectAsync = 1 << 15;        // UFFD_FEATURE_WP_ASYNC, Linux 6.7
constexpr size_t kPage = 4096;

// `body` in a thread of its own, whose namespaces end with it.
template <class Body>
ProbeResult in_own_thread(Body body) {
  ProbeResult result = error(ErrorKind::bug, "the probe did not run");
  std::thread([&] { result = body(); }).join();
  return result;
}

// A child made by clone3 that sleeps until it is killed, in the namespaces of `flags`.
Result<pid_t> sleeping_child(uint64_t flags, pid_t chosen_tid) {
  clone_args arguments{};
  arguments.flags = flags;
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uint64_t>(&chosen_tid);
  arguments.set_tid_size = chosen_tid != 0 ? 1 : 0;
  if (chosen_tid == 0) arguments.set_tid = 0;
  long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return last_error("clone3");
  if (pid == 0) {
    for (;;) syscall(SYS_pause);
  }
  return static_cast<pid_t>(pid);
}

void end_child(pid_t pid) {
  kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {
  }
}

Result<std::string> cgroup2_mount() {
  std::string mounts = TRY(read_text("/proc/self/mounts"));
  for (size_t at = 0; at < mounts.size();) {
    size_t end = std::min(mounts.find('\n', at), mounts.size());
    char target[256], type[64];
    if (sscanf(mounts.substr(at, end - at).c_str(), "%*s %255s %63s", target, type) == 2 && !strcmp(type, "cgroup2"))
      return std::string(target);
    at = end + 1;
  }
  return error(ErrorKind::unsupported, "no cgroup v2 hierarchy is mounted");
}

// Sends one netlink request and returns the kernel's answer: an error, or that it was understood.
Result<void> ask_netlink(int protocol, const void* request, size_t length) {
  UniqueFd socket_fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!socket_fd.valid()) return last_error("socket");
  timeval limit{.tv_sec = 2, .tv_usec = 0};
  setsockopt(socket_fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (send(socket_fd.get(), request, length, 0) < 0) return last_error("send");
  alignas(nlmsghdr) char answer[8192];
  ssize_t got = recv(socket_fd.get(), answer, sizeof answer, 0);
  if (got < 0) return last_error("recv");
  auto* header = reinterpret_cast<nlmsghdr*>(answer);
  if (!NLMSG_OK(header, static_cast<unsigned>(got))) return error(ErrorKind::corrupt, "short netlink answer");
  if (header->nlmsg_type != NLMSG_ERROR) return {};
  errno = -static_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
  if (errno != 0) return last_error("netlink");
  return {};
}

}  // namespace

ProbeResult probe_kernel_release() {
  utsname names{};
  if (uname(&names) < 0) return last_error("uname");
  int major = 0, minor = 0;
  if (sscanf(names.release, "%d.%d", &major, &minor) != 2)
    return error(ErrorKind::corrupt, std::string("release ") + names.release);
  std::string found = std::string(names.release) + " " + names.machine;
  if (major < 6 || (major == 6 && minor < 7) || strcmp(names.machine, "x86_64") != 0)
    return error(ErrorKind::unsupported, found);
  return found;
}

ProbeResult probe_ptrace() {
  pid_t child = TRY(sleeping_child(0, 0));
  auto attempt = [&]() -> ProbeResult {
    TRY(ptrace_seize(child, 0));
    TRY(ptrace_interrupt(child));
    TRY(wait_for_stop(child, std::chrono::steady_clock::now() + std::chrono::seconds(2)));
    TRY(get_registers(child));
    TRY(get_rseq_configuration(child));
    return "works";
  };
  ProbeResult result = attempt();
  end_child(child);
  return result;
}

ProbeResult probe_namespaces() {
  return in_own_thread([]() -> ProbeResult {
    if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP) < 0)
      return last_error("unshare");
    return "works";
  });
}

ProbeResult probe_time_namespace() {
  return in_own_thread([]() -> ProbeResult {
    if (unshare(CLONE_NEWTIME) < 0) return last_error("unshare");
    UniqueFd offsets(open("/proc/thread-self/timens_offsets", O_RDONLY | O_CLOEXEC));
    if (!offsets.valid()) offsets = UniqueFd(open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC));
    if (!offsets.valid()) return last_error("open", "/proc/self/timens_offsets");
    return "works";
  });
}

ProbeResult probe_cgroup_freezer() {
  std::string group = TRY(cgroup2_mount());
  std::string found = group;
  group += "/godwit-check-" + std::to_string(getpid());
  if (mkdir(group.c_str(), 0700) < 0) return last_error("mkdir", group);
  auto attempt = [&]() -> ProbeResult {
    TRY(write_text(group + "/cgroup.freeze", "1"));
    TRY(write_text(group + "/cgroup.freeze", "0"));
    TRY(write_text(group + "/cgroup.kill", "1"));
    return found;
  };
  ProbeResult result = attempt();
  if (rmdir(group.c_str()) < 0) return last_error("rmdir", group);
  return result;
}

ProbeResult probe_cpu_controller() {
  CpuController found = TRY(find_cpu_controller());
  std::string said = "cgroup v" + std::to_string(found.version) + " at " + found.mount;
  if (found.version == 2) return said;
  std::string group = found.directory + "/godwit-check-" + std::to_string(getpid());
  if (mkdir(group.c_str(), 0700) < 0) return last_error("mkdir", group);
  auto limited = write_text(group + "/cpu.cfs_quota_us", "1000");
  if (rmdir(group.c_str()) < 0) return last_error("rmdir", group);
  if (!limited) return limited.error();
  return said;
}

ProbeResult probe_clone3_set_tid() {
  end_child(TRY(sleeping_child(CLONE_NEWPID, 1)));
  return "works";
}

ProbeResult probe_pidfd_getfd() {
  UniqueFd self(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!self.valid()) return last_error("pidfd_open");
  UniqueFd copy(static_cast<int>(syscall(SYS_pidfd_getfd, self.get(), self.get(), 0)));
  if (!copy.valid()) return last_error("pidfd_getfd");
  return "works";
}

ProbeResult probe_kcmp() {
  UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return last_error("open", "/dev/null");
  if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, file.get(), file.get()) < 0) return last_error("kcmp");
  return "works";
}

ProbeResult probe_mm_map() {
  unsigned size = 0;
  if (prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) < 0) return last_error("prctl(PR_SET_MM_MAP_SIZE)");
  return "works";
}

ProbeResult probe_pagemap_scan() {
  PageMap map = TRY(PageMap::open(getpid()));
  void* page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (page == MAP_FAILED) return last_error("mmap");
  *static_cast<volatile char*>(page) = 1;
  std::vector<PageRegion> regions;
  uint64_t start = reinterpret_cast<uint64_t>(page);
  Result<void> scanned = map.scan({start, start + kPage}, {.all_of = kPagePresent, .report = kPagePresent}, regions);
  munmap(page, kPage);
  if (!scanned) return scanned.error();
  if (regions.size() != 1) return error(ErrorKind::unsupported, "a page in use was not reported");
  return "works";
}

ProbeResult probe_userfaultfd_wp_async() {
  UniqueFd fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
  if (!fd.valid()) return last_error("userfaultfd");
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = kUffdWriteProtectAsync | kUffdWriteProtectUnpopulated;
  if (ioctl(fd.get(), UFFDIO_API, &api) < 0) return last_error("ioctl(UFFDIO_API)");
  return "works";
}

ProbeResult probe_bpf_task_iterator() {
  libbpf_set_print(nullptr);
  int target = libbpf_find_vmlinux_btf_id("task", BPF_TRACE_ITER);
  if (target < 0) {
    errno = -target;
    return last_error("libbpf_find_vmlinux_btf_id");
  }
  const bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
                           {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = BPF_TRACE_ITER;
  options.attach_btf_id = static_cast<unsigned>(target);
  UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_TRACING, "godwit_check", "GPL", code, 2, &options));
  if (!program.valid()) return last_error("bpf(BPF_PROG_LOAD)");
  UniqueFd link(bpf_link_create(program.get(), 0, BPF_TRACE_ITER, nullptr));
  if (!link.valid()) return last_error("bpf(BPF_LINK_CREATE)");
  return "works";
}

ProbeResult probe_tun() {
  UniqueFd fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return last_error("open", "/dev/net/tun");
  return "works";
}

ProbeResult probe_tcp_repair() {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return last_error("socket");
  int on = 1;
  if (setsockopt(fd.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) < 0) return last_error("setsockopt(TCP_REPAIR)");
  return "works";
}

ProbeResult probe_overlayfs() {
  UniqueFd context(static_cast<int>(syscall(SYS_fsopen, "overlay", 1)));  // 1: FSOPEN_CLOEXEC
  if (!context.valid()) return last_error("fsopen");
  return "works";
}

ProbeResult probe_nftables() {
  struct {
    nlmsghdr header;
    nfgenmsg netfilter;
  } request{};
  request.header = {.nlmsg_len = sizeof request,
                    .nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN,
                    .nlmsg_flags = NLM_F_REQUEST,
                    .nlmsg_seq = 1,
                    .nlmsg_pid = 0};
  TRY(ask_netlink(NETLINK_NETFILTER, &request, sizeof request));
  return "works";
}

ProbeResult probe_vxlan() {
  return in_own_thread([]() -> ProbeResult {
    if (unshare(CLONE_NEWNET) < 0) return last_error("unshare");
    constexpr const char* kName = "tunnel";
    constexpr uint16_t kPort = 4790;
    auto netlink = TRY(Netlink::open());
    NetlinkBatch made;
    add_tunnel(made, kName, kPort);
    TRY(netlink.run(made));
    NetlinkBatch used;
    unsigned index = interface_index(kName);
    switch_on(used, index, Resolution::none);
    IpAddress somewhere{AF_INET, {192, 0, 2, 1}};
    set_route(used, {.to = somewhere, .prefix = somewhere.bits(), .interface = index, .tunnel_end = somewhere});
    TRY(netlink.run(used));
    return "works";
  });
}

ProbeResult probe_xsave() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0)
    return error(ErrorKind::unsupported, "the processor or the kernel has no XSAVE");
  unsigned size = 0, components = 0, upper = 0;
  if (__get_cpuid_count(0xd, 0, &components, &size, &c, &upper) == 0)
    return error(ErrorKind::unsupported, "cpuid leaf 0xd is absent");
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  char text[64];
  snprintf(text, sizeof text, "components 0x%x, %u bytes", low, size);
  return std::string(text);
}

ProbeResult probe_capability(int number) {
  std::string status = TRY(read_text("/proc/self/status"));
  size_t at = status.find("CapEff:");
  if (at == std::string::npos) return error(ErrorKind::corrupt, "/proc/self/status has no CapEff line");
  uint64_t effective = strtoull(status.c_str() + at + 7, nullptr, 16);
  if ((effective >> number & 1) == 0) return error(ErrorKind::denied, "this process does not have it");
  return "held";
}

}  // namespace godwit::sys
