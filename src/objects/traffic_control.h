// Traffic control of a logical host's interfaces: queueing disciplines and filters, which do not move and are refused,
// but for what is there by itself and what godwit uses itself for connections that wait (sys/accept_queue.h).
// Source: tc(8), tc-bpf(8), Linux 6.18 net/sched/cls_bpf.c, libbpf's netlink.c (names of filters).
#pragma once

#include <vector>

#include "base/result.h"
#include "godwit/image.pb.h"
#include "godwit/worker.pb.h"
#include "sys/netlink.h"

namespace godwit::objects {

Result<void> refuse_traffic_control(sys::Netlink& netlink, const std::vector<image::NetworkLink>& links,
                                    std::vector<worker::Refusal>& refusals);
// Whether a message about it tells of something that would be refused, or may be. False for other messages.
bool tells_of_traffic_control(const nlmsghdr* message);

}  // namespace godwit::objects
