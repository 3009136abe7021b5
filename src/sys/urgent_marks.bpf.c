// Where a TCP connection's urgent data is, which the kernel tells nobody else: run by hand in a network namespace.
// Source: Linux include/linux/tcp.h, net/ipv4/tcp_input.c (tcp_check_urg).
// clang-format off: the first header must come first, and the types below read best one to a line
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "urgent_marks_record.h"

typedef unsigned short u16;
typedef unsigned int u32;

struct tcp_sock {
  u32 copied_seq, rcv_nxt, urg_seq, snd_una, snd_up;
  u16 urg_data;
} __attribute__((preserve_access_index));

enum { kListening = 10 };  // TCP_LISTEN

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct godwit_urgent_marks);
} marks SEC(".maps");

// The packet is an Ethernet header and the ends of a connection in a bpf_sock_tuple, as its peer's packets have them.
// Returns whether there is such a connection; then `marks` has it.
SEC("tc")
int read_marks(struct __sk_buff* packet) {
  void* end = (void*)(long)packet->data_end;
  void* start = (void*)(long)packet->data + sizeof(struct ethhdr);
  struct bpf_sock_tuple tuple = {};
  struct bpf_sock* found = 0;
  if (start + sizeof(tuple.ipv6) <= end) {
    __builtin_memcpy(&tuple.ipv6, start, sizeof(tuple.ipv6));
    found = bpf_skc_lookup_tcp(packet, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
  } else if (start + sizeof(tuple.ipv4) <= end) {
    __builtin_memcpy(&tuple.ipv4, start, sizeof(tuple.ipv4));
    found = bpf_skc_lookup_tcp(packet, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
  }
  if (!found) return 0;
  struct tcp_sock* connection = found->state == kListening ? 0 : bpf_skc_to_tcp_sock(found);
  u32 first = 0;
  struct godwit_urgent_marks* into = bpf_map_lookup_elem(&marks, &first);
  int read = connection && into;
  if (read) {
    u16 received = 0;
    bpf_core_read(&into->first_unread, sizeof(u32), &connection->copied_seq);
    bpf_core_read(&into->receive_next, sizeof(u32), &connection->rcv_nxt);
    bpf_core_read(&into->received_at, sizeof(u32), &connection->urg_seq);
    bpf_core_read(&received, sizeof(received), &connection->urg_data);
    into->received = received;
    bpf_core_read(&into->acknowledged, sizeof(u32), &connection->snd_una);
    bpf_core_read(&into->sent_end, sizeof(u32), &connection->snd_up);
  }
  bpf_sk_release(found);
  return read;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
