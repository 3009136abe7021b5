#include "forwarding/job_link.h"

#include <sched.h>

#include "sys/namespaces.h"
#include "sys/netlink_address.h"

namespace godwit::forwarding {

namespace {

// Nobody answers there, and nobody needs to: on a link without address resolution everything is at the other end.
sys::IpAddress gateway4() { return {AF_INET, {169, 254, 0, 1}}; }
sys::IpAddress gateway6() {
  sys::IpAddress address{AF_INET6, {0xfe, 0x80}};
  address.bytes[15] = 1;
  return address;
}

// With packets that reach all nodes, a connection need not find out anew after every move how large they can be.
NetlinkBatch inside_changes(VirtualAddress address, bool version6, uint32_t largest_packet) {
  NetlinkBatch batch;
  sys::switch_on(batch, kJobInterface, sys::Resolution::none);
  sys::add_address(batch, kJobInterface, address.version4(), 32);
  sys::set_route(batch, {.to = {},
                         .interface = kJobInterface,
                         .gateway = gateway4(),
                         .source = address.version4(),
                         .protocol = sys::kGivenRoute,
                         .largest_packet = largest_packet});
  if (!version6) return batch;
  sys::add_address(batch, kJobInterface, address.version6(), 128);
  sys::set_route(batch, {.to = {AF_INET6, {}},
                         .interface = kJobInterface,
                         .gateway = gateway6(),
                         .protocol = sys::kGivenRoute,
                         .largest_packet = largest_packet});
  return batch;
}

Result<void> change_inside(int network_namespace, const NetlinkBatch& batch) {
  UniqueFd home = TRY(sys::open_namespace(0, "net"));
  TRY(sys::join_namespaces(network_namespace, CLONE_NEWNET));
  auto netlink = sys::Netlink::open();
  auto returned = sys::join_namespaces(home.get(), CLONE_NEWNET);
  CHECK(returned.has_value());  // in the wrong namespace nothing we do would be right
  if (!netlink) return std::unexpected(netlink.error());
  return netlink->run(batch);
}

}  // namespace

std::string job_link_name(VirtualAddress address) {
  return "gw" + std::to_string(address.home()) + "." + std::to_string(address.number());
}

bool is_job_link(std::string_view interface) {
  constexpr std::string_view kAfterPrefix = "0123456789.";
  return interface.starts_with("gw") && interface.find('.') != std::string_view::npos &&
         interface.find_first_not_of(kAfterPrefix, 2) == std::string_view::npos;
}

Result<JobLink> JobLink::create(const worker::NetworkPlace& place, pid_t process) {
  JobLink link;
  VirtualAddress address{place.address()};
  if (!address.valid()) return link;
  NodePlace here = NodePlace::here(place.node_address());
  UniqueFd inside = TRY(sys::open_namespace(process, "net"));
  link.netlink_.emplace(TRY(sys::Netlink::open()));
  link.name_ = job_link_name(address);
  NetlinkBatch made;
  sys::remove_link(made, link.name_);  // what an attempt left that was killed
  sys::add_veth(made, {.name = link.name_,
                       .peer_name = "eth0",
                       .address = hardware_address(address.code),
                       .peer_namespace = inside.get(),
                       .peer_index = kJobInterface});
  TRY(link.netlink_->run(made).within("the link to the job"));
  TRY(change_inside(inside.get(), inside_changes(address, here.version6, place.largest_packet()))
          .within("the job's interface"));
  unsigned index = sys::interface_index(link.name_);
  NetlinkBatch on;
  sys::switch_on(on, index, sys::Resolution::usual);
  sys::let_programs_resolve(on, AF_INET, index, kQueueRules);
  if (here.version6) sys::let_programs_resolve(on, AF_INET6, index, kQueueRules);
  TRY(link.netlink_->run(on).within("the link to the job"));
  make_local(link.expect_, here, address, index);
  let_through(link.deliver_, here, address, index);
  return link;
}

Result<void> JobLink::attach() {
  TRY(deliver());
  return expect();
}

JobLink::~JobLink() {
  if (name_.empty()) return;
  NetlinkBatch batch;
  sys::remove_link(batch, name_);
  (void)netlink_->run(batch);  // it goes with the job's namespace at the latest
}

}  // namespace godwit::forwarding
