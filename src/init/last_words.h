// What programs have written to connections that are closed by now: the kernel goes on sending it, for as long as the
// network namespace is there, which ends with godwit-init.
#pragma once

namespace godwit::init {

// Returns when everything has been acknowledged, with the end of the stream, or after some seconds: the other side may
// be gone. Source: proc_pid_net(5), Linux include/net/tcp_states.h.
void wait_for_last_words();

}  // namespace godwit::init
