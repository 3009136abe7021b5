/* What accept_queue.bpf.c and accept_queue.cc tell each other. Plain C, the same layout for both. Addresses as in IPv6,
 * those of IPv4 mapped; addresses and ports in network order, everything else in the host's. */
#pragma once

/* A connection, seen from here. */
struct godwit_tcp_ends {
  unsigned char local[16], peer[16];
  unsigned short local_port, peer_port;
};

/* What was agreed on when it was begun, and which numbers the acknowledgement that completes it bears. */
struct godwit_tcp_request {
  struct godwit_tcp_ends ends;
  unsigned int receive_first, send_first;
  unsigned int timestamp; /* of ours, now */
  unsigned short largest_segment;
  unsigned char send_scale, receive_scale;
  unsigned char timestamps, selective_acknowledgements, window_scaling, explicit_congestion;
};
