/* What urgent_marks.bpf.c and urgent_marks.cc tell each other: a connection's fields of struct tcp_sock. Plain C, the
 * same layout for both. */
#pragma once

struct godwit_urgent_marks {
  unsigned int first_unread, receive_next; /* copied_seq, rcv_nxt */
  unsigned int received_at;                /* urg_seq */
  unsigned int received;                   /* urg_data: the byte and its state; 0: none */
  unsigned int acknowledged, sent_end;     /* snd_una, snd_up */
};
