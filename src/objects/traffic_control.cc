#include "objects/traffic_control.h"

#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <array>
#include <string_view>

#include "sys/netlink_attributes.h"

namespace godwit::objects {

namespace {

using sys::Attributes;
using sys::NetlinkBatch;

// A place for filters; without them it does nothing.
bool is_hook(const std::string& kind) { return kind == "clsact" || kind == "ingress"; }

// Programs of sys/accept_queue.bpf.c; libbpf adds their numbers.
bool is_godwits(const Attributes& filter) {
  std::string name = Attributes(filter.find(TCA_OPTIONS)).text(TCA_BPF_NAME);
  return filter.text(TCA_KIND) == "bpf" && (name.starts_with("take_in:[") || name.starts_with("count_requests:["));
}

bool is_about_filters(const nlmsghdr* message) {
  return message->nlmsg_type == RTM_NEWTFILTER || message->nlmsg_type == RTM_DELTFILTER;
}

void refuse(std::vector<worker::Refusal>& refusals, const image::NetworkLink& link, const std::string& code,
            const std::string& what, const std::string& remedy) {
  worker::Refusal refusal;
  refusal.set_fd(-1);
  refusal.set_code(code);
  refusal.set_what("the job's network interface " + link.name() + " has " + what);
  refusal.set_remedy(remedy);
  refusals.push_back(std::move(refusal));
}

Result<bool> has_filters(sys::Netlink& netlink, const tcmsg& hook) {
  bool found = false;
  for (uint32_t parent : {TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)}) {
    NetlinkBatch question;
    question.begin(RTM_GETTFILTER, NLM_F_DUMP);
    tcmsg header{};
    header.tcm_family = AF_UNSPEC;
    header.tcm_ifindex = hook.tcm_ifindex;
    header.tcm_parent = parent;
    question.header(&header, sizeof header);
    TRY(netlink.run(question, [&](const nlmsghdr* message) {
      Attributes filter(message, sizeof(tcmsg));
      bool whole = filter.find(TCA_OPTIONS) != nullptr;  // otherwise it is the head of a list
      found = found || (is_about_filters(message) && whole && !is_godwits(filter));
    }));
  }
  return found;
}

}  // namespace

Result<void> refuse_traffic_control(sys::Netlink& netlink, const std::vector<image::NetworkLink>& links,
                                    std::vector<worker::Refusal>& refusals) {
  NetlinkBatch question;
  question.begin(RTM_GETQDISC, NLM_F_DUMP);
  tcmsg header{};
  question.header(&header, sizeof header);
  struct Discipline {
    tcmsg header;
    std::string kind;
  };
  std::vector<Discipline> found;
  TRY(netlink.run(question, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWQDISC || mnl_nlmsg_get_payload_len(message) < sizeof(tcmsg)) return;
    const auto* told = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(message));
    bool by_itself = told->tcm_handle == 0;
    if (!by_itself) found.push_back({*told, Attributes(message, sizeof(tcmsg)).text(TCA_KIND)});
  }));
  for (const Discipline& each : found) {
    for (const image::NetworkLink& link : links) {
      if (link.index() != static_cast<uint32_t>(each.header.tcm_ifindex)) continue;
      if (!is_hook(each.kind)) {
        refuse(refusals, link, "network.qdisc", "a queueing discipline (" + each.kind + ")",
               "take it away: tc qdisc del dev " + link.name() + " root");
      } else if (TRY(has_filters(netlink, each.header))) {
        refuse(refusals, link, "network.filter", "filters of traffic control",
               "take them away: tc qdisc del dev " + link.name() + " " + each.kind);
      }
    }
  }
  return {};
}

bool tells_of_traffic_control(const nlmsghdr* message) {
  if (is_about_filters(message)) return !is_godwits(Attributes(message, sizeof(tcmsg)));
  bool discipline = message->nlmsg_type == RTM_NEWQDISC || message->nlmsg_type == RTM_DELQDISC;
  return discipline && !is_hook(Attributes(message, sizeof(tcmsg)).text(TCA_KIND));
}

}  // namespace godwit::objects
