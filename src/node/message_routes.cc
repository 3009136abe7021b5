#include "node/message_routes.h"

#include <linux/rtnetlink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>

#include "forwarding/job_link.h"
#include "forwarding/node_network.h"
#include "node/switchover.h"
#include "node/whereabouts.h"

namespace godwit::node {

using forwarding::Link;
using forwarding::Mechanism;
using forwarding::Move;
using forwarding::NetlinkBatch;
using forwarding::VirtualAddress;
using forwarding::Word;

const Mechanism& MessageRoutes::mechanism_of(const std::string& name) {
  auto found = forwarding::find_mechanism(name);
  return found ? **found : forwarding::update();
}

MessageRoutes::MessageRoutes(std::string self, std::string address, forwarding::TunnelSettings tunnel, EventLoop& loop,
                             Peers& peers, directory::Directory& directory, FindJob find)
    : self_(std::move(self)),
      address_(std::move(address)),
      loop_(loop),
      peers_(peers),
      directory_(directory),
      find_(std::move(find)),
      tunnel_settings_(tunnel) {}

Result<void> MessageRoutes::start() {
  auto netlink = TRY(sys::Netlink::open());
  here_ = TRY(forwarding::prepare_node_network(netlink, address_));
  listening_ = TRY(sys::Netlink::listen(RTMGRP_NEIGH));
  auto tunnel = forwarding::Tunnel::open(netlink, here_, tunnel_settings_);
  if (tunnel) tunnel_ = std::move(*tunnel);
  if (!tunnel) spdlog::warn("jobs cannot be reached from nodes behind routers: {}", tunnel.error().message());
  netlink_ = std::move(netlink);
  tally_.start(here_);
  loop_.watch(listening_->fd(), [this] { read_wanted(); });
  return {};
}

void MessageRoutes::set_own_number(uint32_t number) {
  own_number_ = number;
  if (!ready()) return;
  auto added = forwarding::add_node_address(*netlink_, here_, address_, number);
  if (!added) spdlog::warn("{}", added.error().message());
}

void MessageRoutes::learn_node(const std::string& node, uint32_t number, const std::string& host) {
  std::lock_guard lock(nodes_mutex_);
  nodes_[node] = {number, host};
}

void MessageRoutes::nodes_learned() {
  loop_.post([this] {
    if (!ready() || !tunnel_) return;
    std::vector<forwarding::NextHop> hops;
    {
      std::lock_guard lock(nodes_mutex_);
      for (const auto& [name, node] : nodes_) {
        auto address = sys::parse_ip_address(node.host);
        if (address && address->family == AF_INET) hops.push_back({*address, node.number});
      }
    }
    auto set = tunnel_->set_nodes(*netlink_, std::move(hops));
    if (!set) spdlog::warn("nodes behind routers: {}", set.error().message());
    largest_packet_ = tunnel_->largest_packet();
  });
}

bool MessageRoutes::tunnelled(const sys::IpAddress& node) {
  return here_.tunnel != 0 && tunnel_ && tunnel_->leads_to(*netlink_, node);
}

void MessageRoutes::describe(const std::string& node, worker::PeerAddress& into) {
  into.set_number(number_of(node));
  auto hop = next_hop(node);
  into.set_tunnelled(hop && hop->tunnelled);
}

uint32_t MessageRoutes::number_of(const std::string& node) {
  if (node == self_) return own_number_;
  std::lock_guard lock(nodes_mutex_);
  auto found = nodes_.find(node);
  return found == nodes_.end() ? 0 : found->second.number;
}

std::string MessageRoutes::home_of(VirtualAddress address) const {
  if (address.home() == own_number_) return self_;
  std::lock_guard lock(nodes_mutex_);
  for (const auto& [name, node] : nodes_) {
    if (node.number == address.home()) return name;
  }
  return {};
}

std::optional<forwarding::NextHop> MessageRoutes::next_hop(const std::string& node) {
  std::lock_guard lock(nodes_mutex_);
  auto found = nodes_.find(node);
  if (found == nodes_.end()) return std::nullopt;
  auto address = sys::parse_ip_address(found->second.host);
  if (!address || address->family != AF_INET) return std::nullopt;
  return forwarding::NextHop{*address, found->second.number, tunnelled(*address)};
}

void MessageRoutes::change(const NetlinkBatch& batch, const char* what) {
  if (!ready()) return;
  auto changed = netlink_->run(batch);
  if (!changed) spdlog::warn("{}: {}", what, changed.error().message());
}

// ---- the kernel's word

void MessageRoutes::read_wanted() {
  std::set<uint32_t> addresses;
  auto read = listening_->receive([&](const nlmsghdr* message) {
    auto wanted = sys::wanted_neighbour(message);
    if (!wanted || wanted->interface != here_.waiting_room) return;
    if (auto address = VirtualAddress::from(wanted->address)) addresses.insert(address->code);
  });
  if (!read) spdlog::error("messages for unknown places: {}", read.error().message());
  for (uint32_t code : addresses) wanted(VirtualAddress{code});
}

Job* MessageRoutes::find_here(VirtualAddress address) const {
  return left_.contains(address.code) ? nullptr : find_(address);
}

// A packet waits. The kernel says so at once and then every second.
void MessageRoutes::wanted(VirtualAddress address) {
  auto moving = moves_.find(address.code);
  if (moving != moves_.end()) {
    Job* job = find_(address);
    if (job != nullptr) mechanism_of(job->record.forwarding()).wanted_while_frozen(moving->second, *this);
    return;
  }
  auto [search, begins] = searching_.try_emplace(address.code, false);
  if (!begins) {
    search->second = true;
    return;
  }
  constexpr std::chrono::milliseconds kSearchAgain(20);  // at the earliest
  loop_.after(kSearchAgain, [this, code = address.code] {
    bool again = searching_[code];
    searching_.erase(code);
    if (again) wanted(VirtualAddress{code});  // the kernel would say so only after a second
  });
  const Link* link = find_link(address);
  tally_.located(address);
  mechanism_of(link == nullptr ? "" : link->mechanism).wanted(address, *this);
}

// ---- a job's life here

Move MessageRoutes::move_of(const Job& job, const std::string& to) const {
  Move move;
  move.address = VirtualAddress{job.record.virtual_address()};
  move.job = job.record.id();
  move.to = to;
  move.home = job.record.home();
  move.partners = {job.record.partners().begin(), job.record.partners().end()};
  move.version = job.record.link_version() + 1;
  return move;
}

void MessageRoutes::is_here(Job& job) {
  VirtualAddress address{job.record.virtual_address()};
  unsigned interface = ready() ? sys::interface_index(forwarding::job_link_name(address)) : 0;
  if (!address.valid() || interface == 0) return;
  NetlinkBatch batch;
  forwarding::make_local(batch, here_, address, interface);
  forwarding::let_through(batch, here_, address, interface);
  forwarding::end_diversion(batch, here_, address);
  forwarding::remove_link(batch, here_, address);
  forwarding::release(batch, here_, address);
  change(batch, "the routes of a job that is here");
  drop_passing(address, false);
  left_.erase(address.code);
  links_.erase(address.code);
  tally_.arrival_ends(address);
}

void MessageRoutes::arrived(const Job& job) {
  Move move = move_of(job, self_);
  move.version = job.record.link_version();  // the source's number for this migration
  if (ready() && move.address.valid()) mechanism_of(job.record.forwarding()).arrived(move, *this);
}

void MessageRoutes::expected(uint32_t code, const std::string& source) {
  VirtualAddress address{code};
  const Link* link = find_link(address);
  if (!ready() || !address.valid()) return;
  if (link == nullptr || link->node.empty()) link_to(address, source);
  tally_.arrival_begins(address);
}

void MessageRoutes::freezing(Job& job, const std::string& to) {
  Move move = move_of(job, to);
  if (!ready() || !move.address.valid()) return;
  moves_[move.address.code] = move;
  mechanism_of(job.record.forwarding()).freezing(move, *this);
}

void MessageRoutes::stayed(Job& job) {
  VirtualAddress address{job.record.virtual_address()};
  is_here(job);
  late_.erase(address.code);
  auto move = moves_.extract(address.code);
  if (move.empty()) return;
  job.record.set_link_version(move.mapped().version + 1);
  mechanism_of(job.record.forwarding()).stayed(move.mapped(), *this);
}

void MessageRoutes::left(const Job& job, const std::string& to) {
  Move move = move_of(job, to);
  moves_.erase(move.address.code);
  left_.insert(move.address.code);
  if (!ready() || !move.address.valid()) return;
  NetlinkBatch batch;
  forwarding::end_local(batch, here_, move.address);
  change(batch, "the routes of a job that left");
  // The kernel takes some 20 ms to take an interface away: after what packets wait for.
  loop_.post([this, link = forwarding::job_link_name(move.address)] { remove_job_link(link); });
  links_[move.address.code] = {move.address, {}, job.record.forwarding(), move.version, {}};
  auto late = late_.extract(move.address.code);
  if (number_of(to) == 0) {  // a daemon that was started anew does not know where it went: as if it had never been here
    end_diversion(move.address);
    return release(move.address);
  }
  for (const std::string& partner : late.empty() ? std::set<std::string>() : late.mapped()) {
    introduce(partner, move.address, to);
  }
  mechanism_of(job.record.forwarding()).left(move, *this);
}

// Asked at the source while the job was leaving: the destination does not know of this partner yet.
void MessageRoutes::introduce(const std::string& partner, VirtualAddress address, const std::string& to) {
  conversations_.run([this, partner, address, to] {
    api::WhereRequest request;
    request.set_address(address.code);
    request.set_node(partner);
    auto noted = peers_.where(to, request);
    if (!noted) spdlog::debug("introducing {} to {}: {}", partner, to, noted.error().message());
  });
}

void MessageRoutes::gone(const Job& job) { left_.erase(job.record.virtual_address()); }

void MessageRoutes::remove_job_link(const std::string& interface) {
  NetlinkBatch batch;
  sys::remove_link(batch, interface);
  change(batch, "the link of a job that is not here any more");
}

void MessageRoutes::ended(const Job& job) {
  VirtualAddress address{job.record.virtual_address()};
  if (!ready() || !address.valid()) return;
  remove_job_link(forwarding::job_link_name(address));
  for (const std::string& partner : job.record.partners()) {
    if (partner == self_) continue;
    tell(partner, {address, Word::State::unknown, self_, job.record.forwarding(), job.record.link_version() + 1}, {});
  }
}

void MessageRoutes::mechanism_changed(Job& job) {
  VirtualAddress address{job.record.virtual_address()};
  job.record.set_link_version(job.record.link_version() + 1);
  std::set<std::string> nodes(job.record.partners().begin(), job.record.partners().end());
  nodes.insert(job.record.home());
  nodes.erase(self_);
  if (!ready() || !address.valid()) return;
  for (const std::string& node : nodes) {
    tell(node, {address, Word::State::here, self_, job.record.forwarding(), job.record.link_version()}, {});
  }
}

// ---- other nodes

api::Whereabouts MessageRoutes::where(const api::WhereRequest& request) {
  VirtualAddress address{request.address()};
  Job* job = find_here(address);
  if (job != nullptr) {
    add_partner(job->record, request.node());
    if (job->state == JobState::moving) late_[address.code].insert(request.node());
    bool frozen = moves_.contains(address.code);
    return to_wire({address, frozen ? Word::State::frozen : Word::State::here, self_, job->record.forwarding(),
                    job->record.link_version()});
  }
  const Link* link = find_link(address);
  if (link == nullptr || link->node.empty()) return to_wire({address, Word::State::unknown, {}, {}, 0});
  return to_wire({address, Word::State::elsewhere, link->node, link->mechanism, link->version});
}

void MessageRoutes::told(const api::Whereabouts& from_peer) {
  Word word = from_wire(from_peer);
  if (!word.address.valid() || !ready() || find_here(word.address) != nullptr) return;
  Link& link = links_[word.address.code];
  if (word.version < link.version) return;
  link.address = word.address;
  link.version = word.version;
  if (!word.mechanism.empty()) link.mechanism = word.mechanism;
  if (word.node == self_) return;  // it is on its way here
  if (word.state == Word::State::frozen) told_frozen_.insert(word.address.code);
  const Mechanism& mechanism = mechanism_of(link.mechanism);
  mechanism.heard(word, *this);
  if (word.state == Word::State::unknown && !mechanism.minds_silence()) links_.erase(word.address.code);
}

// ---- forwarding::Surroundings: routes

Link* MessageRoutes::find_link(VirtualAddress address) {
  auto found = links_.find(address.code);
  return found == links_.end() ? nullptr : &found->second;
}

void MessageRoutes::link_to(VirtualAddress address, const std::string& node) {
  auto hop = next_hop(node);
  if (!hop) return spdlog::warn("a logical host is on {}, which is not known here", node);
  NetlinkBatch batch;
  forwarding::set_link(batch, here_, address, *hop);
  change(batch, "a link");
  Link& link = links_[address.code];
  link.address = address;
  link.node = node;
  if (wants_looks(link)) look_later();
}

void MessageRoutes::unlink(VirtualAddress address) {
  NetlinkBatch batch;
  forwarding::remove_link(batch, here_, address);
  change(batch, "a link");
  if (Link* link = find_link(address)) link->node.clear();
}

void MessageRoutes::end_diversion(VirtualAddress address) {
  NetlinkBatch batch;
  forwarding::end_diversion(batch, here_, address);
  change(batch, "a diversion");
}

void MessageRoutes::release(VirtualAddress address) {
  NetlinkBatch batch;
  forwarding::release(batch, here_, address);
  change(batch, "the waiting room");
  tally_later(address, told_frozen_.erase(address.code) > 0 ? MessageTally::Fate::resent : MessageTally::Fate::held);
}

void MessageRoutes::drop_waiting(VirtualAddress address) {
  NetlinkBatch batch;
  forwarding::drop_waiting(batch, here_, address);
  change(batch, "the waiting room");
  tally_later(address, MessageTally::Fate::dropped);
}

void MessageRoutes::refuse_waiting(VirtualAddress address) {
  NetlinkBatch batch;
  forwarding::refuse_waiting(batch, here_, address);
  change(batch, "the waiting room");
  tally_later(address, MessageTally::Fate::dropped);
}

void MessageRoutes::drop_passing(VirtualAddress address, bool drop) {
  NetlinkBatch batch;
  forwarding::drop_passing(batch, here_, address, drop);
  change(batch, "messages that pass through");
  loop_.post([this, address, drop] { tally_.count_dropped(address, drop); });
}

// Counting takes its time: after what packets wait for.
void MessageRoutes::tally_later(VirtualAddress address, MessageTally::Fate fate) {
  loop_.post([this, address, fate] { tally_.waited(address, fate); });
}

// ---- forwarding::Surroundings: conversations

void MessageRoutes::heard(Heard heard, Result<Word> answer) {
  loop_.post([heard = std::move(heard), answer = std::move(answer)]() mutable { heard(std::move(answer)); });
}

// What the node that has it says of its mechanism and version.
void MessageRoutes::note(const Word& word) {
  if (word.state != Word::State::here && word.state != Word::State::frozen) return;
  Link& link = links_[word.address.code];
  link.address = word.address;
  link.mechanism = word.mechanism;
  link.version = std::max(link.version, word.version);
}

void MessageRoutes::tell(const std::string& node, const Word& word, std::function<void(bool)> done) {
  conversations_.run([this, node, word, done = std::move(done)] {
    auto told = peers_.tell_where(node, to_wire(word));
    if (!told) spdlog::debug("telling {} of a link: {}", node, told.error().message());
    if (done) loop_.post([done, noted = told.has_value()] { done(noted); });
  });
}

void MessageRoutes::ask(const std::string& node, VirtualAddress address, Heard heard_there) {
  conversations_.run([this, node, address, heard_there = std::move(heard_there)] {
    api::WhereRequest request;
    request.set_address(address.code);
    request.set_node(self_);
    auto answer = peers_.where(node, request);
    if (!answer) return heard(heard_there, answer.error());
    heard(
        [this, heard_there](Result<Word> word) {
          note(*word);
          heard_there(std::move(word));
        },
        from_wire(*answer));
  });
}

// A directory that does not answer soon counts as unreachable: packets wait, and there are other ways.
void MessageRoutes::ask_directory(VirtualAddress address, Heard heard_there) {
  constexpr std::chrono::milliseconds kDirectoryPatience(500);
  auto answered = std::make_shared<bool>(false);
  Heard once = [answered, heard_there = std::move(heard_there)](Result<Word> answer) {
    if (!std::exchange(*answered, true)) heard_there(std::move(answer));
  };
  loop_.after(kDirectoryPatience, [once] { once(error(ErrorKind::peer_lost, "the directory does not answer")); });
  conversations_.run([this, address, once] { heard(once, look_up(address)); });
}

Result<Word> MessageRoutes::look_up(VirtualAddress address) {
  auto id = TRY(directory_.get(address_key(address)));
  if (!id) return error(ErrorKind::gone, "no job has that address");
  auto entry = TRY(directory_.get(job_key(id->value)));
  api::Job job;
  if (!entry || !job.ParseFromString(entry->value)) return error(ErrorKind::gone, "no job has that address");
  return Word{address, Word::State::elsewhere, job.node(), job.forwarding(), 0};
}

void MessageRoutes::ask_everybody(VirtualAddress address, Heard heard_first) {
  std::vector<std::string> nodes;
  {
    std::lock_guard lock(nodes_mutex_);
    for (const auto& [name, node] : nodes_) nodes.push_back(name);
  }
  struct Poll {
    size_t left;
    bool done = false, all_asked = true;
  };
  auto poll = std::make_shared<Poll>(Poll{nodes.size()});
  if (nodes.empty()) return heard(std::move(heard_first), error(ErrorKind::gone, "there are no other nodes"));
  for (const std::string& node : nodes) {
    ask(node, address, [poll, heard_first](Result<Word> answer) {
      --poll->left;
      poll->all_asked = poll->all_asked && answer;
      bool has_it = answer && (answer->state == Word::State::here || answer->state == Word::State::frozen);
      if (poll->done || (!has_it && poll->left > 0)) return;
      poll->done = true;
      if (has_it) return heard_first(std::move(answer));
      heard_first(poll->all_asked ? error(ErrorKind::gone, "no node has it")
                                  : error(ErrorKind::peer_lost, "none of the nodes has it that answer"));
    });
  }
}

void MessageRoutes::after(std::chrono::milliseconds delay, std::function<void()> work) {
  loop_.after(delay, std::move(work));
}

}  // namespace godwit::node
