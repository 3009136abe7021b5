// For BPF programs run by hand in a network namespace that are asked about one TCP socket.
#pragma once

#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>

// The packet is an Ethernet header and a bpf_sock_tuple, as a packet to the socket has it. Null: there is no such
// socket; otherwise bpf_sk_release() it.
static __always_inline struct bpf_sock* look_up(struct __sk_buff* packet) {
  void* end = (void*)(long)packet->data_end;
  void* start = (void*)(long)packet->data + sizeof(struct ethhdr);
  struct bpf_sock_tuple tuple = {};
  if (start + sizeof(tuple.ipv6) <= end) {
    __builtin_memcpy(&tuple.ipv6, start, sizeof(tuple.ipv6));
    return bpf_skc_lookup_tcp(packet, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
  }
  if (start + sizeof(tuple.ipv4) > end) return 0;
  __builtin_memcpy(&tuple.ipv4, start, sizeof(tuple.ipv4));
  return bpf_skc_lookup_tcp(packet, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
}
