/* What tcp_numbers.bpf.c and tcp_numbers.cc tell each other: a connection's fields of struct tcp_sock, by the kernel's
 * names for them. Plain C, the same layout for both. */
#pragma once

struct godwit_tcp_numbers {
  unsigned int copied_seq, rcv_nxt, urg_seq, urg_data; /* urg_data: the byte and its state; 0: none */
  unsigned int snd_una, snd_nxt, write_seq, snd_up;
  unsigned int snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup;
  unsigned int mss_clamp, tsoffset;
  unsigned int tstamp_ok, wscale_ok, sack_ok, snd_wscale, rcv_wscale;
  unsigned int microseconds; /* tcp_usec_ts: what timestamps count */
  unsigned int state;        /* include/net/tcp_states.h */
};
