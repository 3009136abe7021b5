// Forgets that a socket's options are known when the program sets one of them.
// Source: Linux kernel/bpf/cgroup.c (__cgroup_bpf_run_filter_setsockopt), net/core/bpf_sk_storage.c.
// clang-format off: the first header must come first
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
// clang-format on

struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, int);
} known_sockets SEC(".maps");

SEC("cgroup/setsockopt")
int forget_socket(struct bpf_sockopt* call) {
  int* known = call->sk ? bpf_sk_storage_get(&known_sockets, call->sk, 0, 0) : 0;
  if (known) *known = 0;
  call->optlen = 0;  // the kernel takes the value from the program, of whatever length
  return 1;
}

char LICENSE[] SEC("license") = "GPL";
