// The interfaces of a logical host's network namespace: dummies, bridges, pairs of virtual ones, VLANs, macvlans, TUNs
// and TAPs that programs of the job have made, and what they have set on lo and on the one that godwit gives it.
//
// Read and made in the calling thread's network namespace. Every interface keeps its number and name. What cannot be
// made again is told of, in words. Source: rtnetlink(7), ip-link(8), Linux 6.18 include/uapi/linux/if_link.h.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "godwit/image.pb.h"
#include "godwit/worker.pb.h"
#include "sys/netlink.h"

namespace godwit::objects {

// The number of the interface that godwit gives a logical host; 0: it has none.
struct GivenInterface {
  uint32_t index = 0;
};

// What programs are to have of TUNs and TAPs, by the interface's name: /dev/net/tun, attached to it.
using TunEnds = std::map<std::string, UniqueFd>;

// What was told of each interface, by its number.
using LinksSeen = std::map<uint32_t, std::string>;

// Errors: retry when they changed meanwhile.
Result<std::vector<image::NetworkLink>> list_links(sys::Netlink& netlink, GivenInterface given,
                                                   std::vector<worker::Refusal>& refusals, LinksSeen& seen);
// Whether a message about an interface says anything else. The kernel says by itself, up to a second late, that there
// is a carrier or none.
bool says_other(const nlmsghdr* message, const LinksSeen& seen);

// Makes the interfaces as they are told; those that are none of them go first, but for lo and the given one.
// Errors: corrupt for what is no such interface; the kernel's.
// No addresses are made up for them until let_links_make_addresses(), as each is told: first come those they had.
Result<TunEnds> make_links(sys::Netlink& netlink, GivenInterface given, const std::vector<image::NetworkLink>& links);
Result<void> let_links_make_addresses(sys::Netlink& netlink, GivenInterface given,
                                      const std::vector<image::NetworkLink>& links);

}  // namespace godwit::objects
