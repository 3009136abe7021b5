// Connections that are begun somewhere else and completed here: take_in() lets the acknowledgement that completes one
// of `expected_requests` make it, as the kernel lets a SYN cookie; write_request() writes those that wait here.
// Source: Linux net/core/filter.c (bpf_sk_assign_tcp_reqsk, since 6.9), net/ipv4/syncookies.c, include/linux/tcp.h.
// clang-format off: the first header must come first, and the types below read best one to a line
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "accept_queue_record.h"
#include "socket_lookup.bpf.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock_common {
  u32 skc_daddr, skc_rcv_saddr;
  u16 skc_dport, skc_num;
  unsigned short skc_family;
  volatile unsigned char skc_state;
  struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};
struct sock { struct sock_common __sk_common; };
struct request_sock { struct sock_common __req_common; u16 mss; };
struct inet_request_sock {
  struct request_sock req;
  u16 snd_wscale : 4, rcv_wscale : 4, tstamp_ok : 1, sack_ok : 1, wscale_ok : 1, ecn_ok : 1;
};
typedef struct { int counter; } atomic_t;
struct request_sock_queue { atomic_t qlen; };
struct inet_connection_sock { struct request_sock_queue icsk_accept_queue; };
struct tcp_sock { struct inet_connection_sock inet_conn; };
struct tcp_request_sock { struct inet_request_sock req; u32 rcv_isn, snt_isn, ts_off; };
struct seq_file;
struct bpf_iter_meta { struct seq_file* seq; };
struct bpf_iter__tcp { struct bpf_iter_meta* meta; struct sock_common* sk_common; };

#pragma clang attribute pop

struct bpf_tcp_req_attrs {
  u32 rcv_tsval, rcv_tsecr;
  u16 mss;
  u8 rcv_wscale, snd_wscale, ecn_ok, wscale_ok, sack_ok, tstamp_ok, usec_ts_ok, reserved[3];
};
extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff* packet, struct sock* listener, struct bpf_tcp_req_attrs* attributes,
                                   int size) __ksym;

enum { kNewRequest = 12, kListening = 10, kVersion4 = 2 };  // TCP_NEW_SYN_RECV, TCP_LISTEN, AF_INET

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, struct godwit_tcp_ends);
  __type(value, struct godwit_tcp_request);
} expected_requests SEC(".maps");

static __always_inline void map_version4(u8* into, u32 address) {
  __builtin_memset(into, 0, 10);
  into[10] = into[11] = 0xff;
  __builtin_memcpy(into + 12, &address, 4);
}

// The ends of the connection that a packet belongs to, and its TCP header; null for anything but TCP without extensions
// before it.
static __always_inline struct tcphdr* read_ends(struct __sk_buff* packet, struct godwit_tcp_ends* ends,
                                                struct bpf_sock_tuple* tuple, u32* tuple_size) {
  void* end = (void*)(long)packet->data_end;
  void* network = (void*)(long)packet->data + sizeof(struct ethhdr);
  struct tcphdr* tcp;
  if (packet->protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip = network;
    if ((void*)(ip + 1) > end || ip->protocol != IPPROTO_TCP || ip->ihl != 5) return 0;
    tcp = (void*)(ip + 1);
    if ((void*)(tcp + 1) > end) return 0;
    map_version4(ends->peer, ip->saddr);
    map_version4(ends->local, ip->daddr);
    tuple->ipv4.saddr = ip->saddr;
    tuple->ipv4.daddr = ip->daddr;
    tuple->ipv4.sport = tcp->source;
    tuple->ipv4.dport = tcp->dest;
    *tuple_size = sizeof(tuple->ipv4);
  } else if (packet->protocol == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip = network;
    if ((void*)(ip + 1) > end || ip->nexthdr != IPPROTO_TCP) return 0;
    tcp = (void*)(ip + 1);
    if ((void*)(tcp + 1) > end) return 0;
    __builtin_memcpy(ends->peer, &ip->saddr, 16);
    __builtin_memcpy(ends->local, &ip->daddr, 16);
    __builtin_memcpy(tuple->ipv6.saddr, &ip->saddr, 16);
    __builtin_memcpy(tuple->ipv6.daddr, &ip->daddr, 16);
    tuple->ipv6.sport = tcp->source;
    tuple->ipv6.dport = tcp->dest;
    *tuple_size = sizeof(tuple->ipv6);
  } else {
    return 0;
  }
  ends->peer_port = tcp->source;
  ends->local_port = tcp->dest;
  return tcp;
}

SEC("tc")
int take_in(struct __sk_buff* packet) {
  struct godwit_tcp_ends ends = {};
  struct bpf_sock_tuple tuple = {};
  u32 tuple_size = 0;
  struct tcphdr* tcp = read_ends(packet, &ends, &tuple, &tuple_size);
  if (!tcp || !tcp->ack || tcp->syn || tcp->rst) return TC_ACT_OK;
  struct godwit_tcp_request* request = bpf_map_lookup_elem(&expected_requests, &ends);
  if (!request) return TC_ACT_OK;
  int completes = bpf_ntohl(tcp->seq) == request->receive_first && bpf_ntohl(tcp->ack_seq) == request->send_first;
  struct bpf_sock* found = bpf_skc_lookup_tcp(packet, &tuple, tuple_size, BPF_F_CURRENT_NETNS, 0);
  if (!found) return TC_ACT_OK;
  if (found->state == kListening && !completes) {  // it would be answered by a reset, but the right one is to come
    bpf_sk_release(found);
    return TC_ACT_SHOT;
  }
  struct sock* listener = found->state == kListening ? (struct sock*)bpf_skc_to_tcp_sock(found) : 0;
  if (listener) {
    struct bpf_tcp_req_attrs attributes = {};
    attributes.rcv_tsecr = request->timestamp;
    attributes.mss = request->largest_segment;
    attributes.rcv_wscale = request->receive_scale;
    attributes.snd_wscale = request->send_scale;
    attributes.ecn_ok = request->explicit_congestion;
    attributes.wscale_ok = request->window_scaling;
    attributes.sack_ok = request->selective_acknowledgements;
    attributes.tstamp_ok = request->timestamps;
    if (bpf_sk_assign_tcp_reqsk(packet, listener, &attributes, sizeof(attributes)) == 0) {
      bpf_map_delete_elem(&expected_requests, &ends);
    }
  }
  bpf_sk_release(found);
  return TC_ACT_OK;
}

// Run by hand in a network namespace. The packet is an Ethernet header and the address and port of a listening socket as
// the destination in a bpf_sock_tuple. Returns how many requests wait for it, or all ones for another socket.
SEC("tc")
int count_requests(struct __sk_buff* packet) {
  struct bpf_sock* found = look_up(packet);
  int count = -1;
  if (!found) return count;
  struct tcp_sock* listener = found->state == kListening ? bpf_skc_to_tcp_sock(found) : 0;
  if (listener) bpf_core_read(&count, sizeof(count), &listener->inet_conn.icsk_accept_queue.qlen);
  bpf_sk_release(found);
  return count;
}

SEC("iter/tcp")
int write_request(struct bpf_iter__tcp* context) {
  struct sock_common* socket = context->sk_common;
  if (!socket || socket->skc_state != kNewRequest) return 0;
  struct tcp_request_sock* request = bpf_skc_to_tcp_request_sock(socket);
  if (!request) return 0;
  struct godwit_tcp_request record = {};
  if (socket->skc_family == kVersion4) {
    map_version4(record.ends.peer, socket->skc_daddr);
    map_version4(record.ends.local, socket->skc_rcv_saddr);
  } else {
    bpf_core_read(record.ends.peer, 16, &socket->skc_v6_daddr);
    bpf_core_read(record.ends.local, 16, &socket->skc_v6_rcv_saddr);
  }
  record.ends.peer_port = socket->skc_dport;
  record.ends.local_port = bpf_htons(socket->skc_num);
  record.receive_first = request->rcv_isn + 1;
  record.send_first = request->snt_isn + 1;
  record.timestamp = (u32)(bpf_ktime_get_ns() / 1000000) + request->ts_off;
  record.largest_segment = request->req.req.mss;
  record.send_scale = BPF_CORE_READ_BITFIELD(&request->req, snd_wscale);
  record.receive_scale = BPF_CORE_READ_BITFIELD(&request->req, rcv_wscale);
  record.timestamps = BPF_CORE_READ_BITFIELD(&request->req, tstamp_ok);
  record.selective_acknowledgements = BPF_CORE_READ_BITFIELD(&request->req, sack_ok);
  record.window_scaling = BPF_CORE_READ_BITFIELD(&request->req, wscale_ok);
  record.explicit_congestion = BPF_CORE_READ_BITFIELD(&request->req, ecn_ok);
  bpf_seq_write(context->meta->seq, &record, sizeof(record));
  return 0;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
