// Where a TCP connection stands: what the kernel tells a program in parts, or not at all of one that no program has
// open any more. Run by hand in a network namespace. Source: Linux include/linux/tcp.h.
// clang-format off: the first header must come first, and the types below read best one to a line
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "tcp_numbers_record.h"
#include "socket_lookup.bpf.h"

typedef unsigned short u16;
typedef unsigned int u32;

struct tcp_options_received {
  u16 tstamp_ok : 1, wscale_ok : 1, sack_ok : 3, snd_wscale : 4, rcv_wscale : 4;
  u16 mss_clamp;
} __attribute__((preserve_access_index));

struct tcp_sock {
  u32 copied_seq, rcv_nxt, urg_seq, snd_una, snd_nxt, write_seq, snd_up;
  u32 snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup, tsoffset;
  u16 urg_data;
  unsigned char tcp_usec_ts : 1;  // since Linux 6.7
  struct tcp_options_received rx_opt;
} __attribute__((preserve_access_index));

enum { kListening = 10 };  // TCP_LISTEN

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct godwit_tcp_numbers);
} numbers SEC(".maps");

#define READ(field) bpf_core_read(&into->field, sizeof(u32), &connection->field)
#define READ_BITS(field) into->field = (u32)BPF_CORE_READ_BITFIELD_PROBED(connection, rx_opt.field)

// The packet is an Ethernet header and the ends of a connection in a bpf_sock_tuple, as its peer's packets have them.
// Returns whether there is such a connection; then `numbers` has it.
SEC("tc")
int read_numbers(struct __sk_buff* packet) {
  struct bpf_sock* found = look_up(packet);
  if (!found) return 0;
  struct tcp_sock* connection = found->state == kListening ? 0 : bpf_skc_to_tcp_sock(found);
  u32 first = 0;
  struct godwit_tcp_numbers* into = bpf_map_lookup_elem(&numbers, &first);
  int read = connection && into;
  if (read) {
    u16 urgent = 0, segment = 0;
    READ(copied_seq);
    READ(rcv_nxt);
    READ(urg_seq);
    READ(snd_una);
    READ(snd_nxt);
    READ(write_seq);
    READ(snd_up);
    READ(snd_wl1);
    READ(snd_wnd);
    READ(max_window);
    READ(rcv_wnd);
    READ(rcv_wup);
    READ(tsoffset);
    bpf_core_read(&urgent, sizeof(urgent), &connection->urg_data);
    into->urg_data = urgent;
    bpf_core_read(&segment, sizeof(segment), &connection->rx_opt.mss_clamp);
    into->mss_clamp = segment;
    READ_BITS(tstamp_ok);
    READ_BITS(wscale_ok);
    READ_BITS(sack_ok);
    READ_BITS(snd_wscale);
    READ_BITS(rcv_wscale);
    into->microseconds = 0;
    if (bpf_core_field_exists(connection->tcp_usec_ts)) {
      into->microseconds = (u32)BPF_CORE_READ_BITFIELD_PROBED(connection, tcp_usec_ts);
    }
    into->state = found->state;
  }
  bpf_sk_release(found);
  return read;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
