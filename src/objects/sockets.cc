#include "objects/sockets.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "objects/last_words.h"
#include "objects/tcp_connection.h"
#include "objects/tcp_rest.h"
#include "sys/file.h"
#include "sys/network_visit.h"
#include "sys/ping_groups.h"
#include "sys/raw_peer.h"
#include "sys/socket_names.h"
#include "sys/socket_state.h"
#include "sys/stream_socket.h"

namespace godwit::objects {

Result<SocketCapture> SocketCapture::open(pid_t init_host_pid, int init_pidfd, std::string cgroup) {
  UniqueFd init = TRY(sys::duplicate(init_pidfd));
  UniqueFd probe = TRY(sys::socket_in_network_of(init_pidfd, AF_UNIX, SOCK_DGRAM, 0));
  uint64_t network = TRY(sys::network_of(probe.get()));
  return SocketCapture(init_host_pid, std::move(init), std::move(cgroup), TRY(sys::UnixDiag::open(init_pidfd)),
                       TRY(sys::ClosedConnections::open(init_pidfd)), TRY(sys::DropFilter::load()), network);
}

void SocketCapture::begin() {
  looked_ = missed_ = false;
  unix_.clear();
  waiting_.clear();
  groups_.reset();
  packet_.reset();
  in_flight.clear();
  has_requests_ = false;
  release();
}

void SocketCapture::release() {
  still_.clear();
  put_back();
  frozen_.reset();
}

// What cannot be put back is lost, as if its peer had reset it.
void SocketCapture::put_back() {
  std::vector<sys::TcpConnection> connections;
  for (Taken& taken : taken_) {
    std::move(taken.still).commit();
    connections.push_back(std::move(taken.connection));
  }
  taken_.clear();
  if (connections.empty()) return;
  (void)sys::in_network_of(init_.get(), [&] { return accept_queue()->put(connections); });
}

Result<void> SocketCapture::freeze() {
  if (!frozen_) frozen_.emplace(TRY(freeze::FrozenCgroup::freeze(cgroup_)));
  return {};
}

const sys::AcceptQueue* SocketCapture::accept_queue() {
  if (!accept_queue_) accept_queue_ = sys::AcceptQueue::load();
  return *accept_queue_ ? &**accept_queue_ : nullptr;
}

Result<void> SocketCapture::in_network(const std::function<Result<void>()>& work) {
  if (inside_) return work();
  return sys::in_network_of(init_.get(), [&] {
    inside_ = true;
    auto outcome = work();
    inside_ = false;
    return outcome;
  });
}

bool SocketCapture::sees_numbers() {
  if (!tcp_numbers_) tcp_numbers_ = sys::TcpNumbers::load();
  return tcp_numbers_->has_value();
}

Result<sys::TcpUrgent> SocketCapture::urgent_of(int fd) {
  sys::TcpUrgent urgent;
  if (!sys::may_have_urgent(fd) || !sees_numbers()) return urgent;
  TRY(in_network([&]() -> Result<void> {
    urgent = TRY((*tcp_numbers_)->urgent_of(fd));
    return {};
  }));
  return urgent;
}

Result<std::vector<sys::TcpStanding>> SocketCapture::standings(std::vector<sys::LastWords>& words) {
  std::vector<sys::TcpStanding> standings;
  if (words.empty() || !tcp_numbers_ || !*tcp_numbers_) return standings;
  std::set<std::string> told;
  bool some_unknown = false;
  TRY(in_network([&]() -> Result<void> {
    for (const sys::LastWords& each : words) {
      bool wanted = !is_within_job(each.local, each.peer) && standings.size() < kMostLastWords &&
                    told.insert(each.local + each.peer).second;
      auto standing = wanted ? TRY((*tcp_numbers_)->standing(each.local, each.peer)) : std::nullopt;
      bool speaks =
          standing && is_connected(standing->connection.state) && standing->send_end != standing->connection.send_first;
      if (speaks) standings.push_back(std::move(*standing));
      some_unknown = some_unknown || (wanted && !speaks);
    }
    return {};
  }));
  if (!some_unknown) return standings;
  auto still = closed_.last_words();
  std::erase_if(words, [&](const sys::LastWords& each) {
    auto same = [&](const sys::LastWords& other) { return other.local == each.local && other.peer == each.peer; };
    return still && std::ranges::none_of(*still, same);
  });
  return standings;
}

bool SocketCapture::was_waiting(const std::string& local, const std::string& peer) const {
  std::string key = key_of_ends(local, peer);
  return std::ranges::any_of(
      taken_, [&](const Taken& each) { return key_of_ends(each.connection.local, each.connection.peer) == key; });
}

Result<std::vector<ReaderWithin>> SocketCapture::readers_within(std::vector<sys::LastWords>& words,
                                                                image::LogicalHost& host) {
  std::vector<ReaderWithin> readers;
  auto is_within = [](const sys::LastWords& each) { return is_within_job(each.local, each.peer); };
  if (std::ranges::none_of(words, is_within)) return readers;
  std::map<std::string, const image::TcpSocket*> sockets;
  for (const image::Description& description : host.descriptions()) {
    const image::TcpSocket& socket = description.tcp_socket();
    if (description.has_tcp_socket()) sockets[key_of_ends(socket.local(), socket.peer())] = &socket;
  }
  std::map<std::string, int> held;
  for (const sys::RepairMode& each : still_) {
    auto local = sys::own_address(each.fd()), peer = sys::peer_address(each.fd());
    if (local && peer) held[key_of_ends(*local, *peer)] = each.fd();
  }
  std::vector<sys::LastWords> unread;
  for (const sys::LastWords& each : words) {
    if (!is_within(each)) continue;
    std::string key = key_of_ends(each.peer, each.local);
    auto socket = sockets.find(key);
    auto fd = held.find(key);
    if (socket == sockets.end() || fd == held.end()) {
      if (!was_waiting(each.peer, each.local)) unread.push_back(each);
      continue;
    }
    if (readers.size() == kMostLastWords || socket->second->urgent() != image::TcpSocket::NONE) continue;
    readers.push_back({TRY(sys::duplicate(fd->second)), socket->second->received().size(), each});
    image::TcpSocket& closed = *host.add_closed_within();
    closed.set_local(each.local);
    closed.set_peer(each.peer);
  }
  std::erase_if(words, [&](const sys::LastWords& each) { return std::ranges::find(unread, each) != unread.end(); });
  return readers;
}

Result<std::vector<sys::TcpConnection>> SocketCapture::take_waiting(int listening) {
  TRY(freeze());
  std::vector<sys::TcpConnection> connections;
  while (TRY(sys::readable_now(listening))) {
    UniqueFd fd = TRY(sys::accept_from(listening));
    sys::TcpState state = TRY(sys::tcp_state(fd.get()));
    if (state != sys::TcpState::established && state != sys::TcpState::close_wait) continue;  // reset by its peer
    sys::RepairMode still = TRY(sys::RepairMode::enter(fd.get(), drop_, TRY(sys::read_filter(fd.get()))));
    sys::TcpConnection connection = TRY(sys::read_connection(still, TRY(urgent_of(fd.get()))));
    connections.push_back(connection);
    taken_.push_back({std::move(still), std::move(connection)});
  }
  return connections;
}

image::TcpRest SocketCapture::taken() const {
  image::TcpRest rest;
  for (const Taken& taken : taken_) {
    image::TcpSocket& socket = *rest.add_waiting();
    socket.set_state(static_cast<uint32_t>(taken.connection.state));
    tell(taken.connection, socket);
  }
  return rest;
}

Result<void> SocketCapture::note_requests(int listening) {
  if (has_requests_ || accept_queue() == nullptr) return {};
  return in_network([&]() -> Result<void> {
    has_requests_ = TRY(accept_queue()->has_requests(listening));
    return {};
  });
}

Result<void> SocketCapture::add_requests(image::LogicalHost& host) {
  if (!has_requests_) return {};
  return sys::in_network_of(init_.get(), [&]() -> Result<void> {
    for (const sys::TcpRequest& request : TRY(accept_queue()->requests())) tell(request, *host.add_tcp_requests());
    return {};
  });
}

Result<const sys::RepairMode*> SocketCapture::hold_still(int fd, std::string filter) {
  TRY(freeze());
  still_.push_back(TRY(sys::RepairMode::enter(fd, drop_, std::move(filter))));
  return &still_.back();
}

void SocketCapture::commit() {
  if (frozen_) std::move(*frozen_).commit();
  frozen_.reset();
  for (sys::RepairMode& socket : still_) std::move(socket).commit();
  still_.clear();
  for (Taken& taken : taken_) std::move(taken.still).commit();
  taken_.clear();
}

// What is known already stays as it was found.
Result<void> SocketCapture::look() {
  for (auto& [inode, record] : TRY(diag_.read())) {
    for (uint64_t client : record.waiting) waiting_[client] = inode;
    unix_.try_emplace(inode, record);
  }
  looked_ = true;
  return {};
}

// One that is not there may have been made since.
Result<const sys::UnixSocketRecord*> SocketCapture::unix_socket(uint64_t inode) {
  if (!looked_) TRY(look());
  if (!unix_.contains(inode) && !missed_) TRY(look());
  auto found = unix_.find(inode);
  missed_ = missed_ || found == unix_.end();  // there are such: looking again and again tells no more
  return found == unix_.end() ? nullptr : &found->second;
}

Result<bool> SocketCapture::of_the_job(int fd) const { return TRY(sys::network_of(fd)) == network_; }

Result<bool> SocketCapture::is_of_the_job(int network) const {
  UniqueFd own = TRY(sys::open_path("/proc/" + std::to_string(init_pid_) + "/ns/net", O_RDONLY));
  struct stat status = TRY(sys::status_of(network)), own_status = TRY(sys::status_of(own.get()));
  return status.st_dev == own_status.st_dev && status.st_ino == own_status.st_ino;
}

Result<std::vector<sys::MulticastGroup>> SocketCapture::groups() {
  if (!groups_) groups_ = TRY(sys::joined_groups(init_pid_));
  return *groups_;
}

Result<void> SocketCapture::add_memberships(int fd, int family,
                                            google::protobuf::RepeatedPtrField<image::Membership>& into) {
  for (sys::Membership& membership : sys::memberships_of(fd, family, TRY(groups()))) {
    image::Membership& told = *into.Add();
    told.set_group(std::move(membership.group.address));
    told.set_interface(membership.group.interface);
    told.set_source(std::move(membership.filter));
  }
  return {};
}

Result<void> join_groups(int fd, int family, const google::protobuf::RepeatedPtrField<image::Membership>& groups) {
  for (const image::Membership& group : groups) {
    TRY(sys::join_group(fd, family, {{group.interface(), group.group()}, group.source()}));
  }
  return {};
}

Result<std::optional<sys::PacketRecord>> SocketCapture::packet_socket(uint64_t inode) {
  if (!packet_) {
    UniqueFd netlink = TRY(sys::socket_in_network_of(init_.get(), AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG));
    packet_ = TRY(sys::packet_sockets(netlink.get()));
  }
  auto found = packet_->find(inode);
  return found == packet_->end() ? std::nullopt : std::optional(found->second);
}

Result<std::string> SocketCapture::raw_peer(const sys::SocketShape& shape, uint64_t inode) const {
  return sys::raw_peer(init_pid_, shape, inode);
}

Result<std::string> SocketCapture::ping_groups() {
  std::string range;
  TRY(sys::in_network_of(init_.get(), [&]() -> Result<void> {
    range = TRY(sys::ping_groups());
    return {};
  }));
  return range;
}

const SocketCapture::Options& SocketCapture::defaults(const sys::SocketShape& shape) {
  auto known = defaults_.find(shape);
  if (known != defaults_.end()) return known->second;
  Options values;
  auto fresh = sys::socket_in_network_of(init_.get(), shape.family, shape.type, shape.protocol);
  if (fresh) values = sys::read_options(fresh->get(), shape);  // otherwise every option is told
  return defaults_.emplace(shape, std::move(values)).first->second;
}

Result<void> SocketCapture::know_options(int fd, uint64_t inode, const sys::SocketShape& shape) {
  if (!watch_) watch_ = sys::OptionWatch::begin(cgroup_);
  const Result<sys::OptionWatch>& watch = *watch_;
  if (!watch || (known_options_.contains(inode) && watch->unchanged(fd))) return {};
  known_options_.erase(inode);
  if (!watch->note(fd)) return {};
  known_options_[inode] = sys::changed_options(sys::read_options(fd, shape), defaults(shape));
  return {};
}

Result<void> SocketCapture::add_options(int fd, OptionsToTell& into, const sys::SocketShape& shape, uint64_t inode) {
  Options values;
  auto known = known_options_.find(inode);
  if (known != known_options_.end() && (*watch_)->unchanged(fd)) {
    values = known->second;
    sys::read_moving_options(fd, shape, defaults(shape), values);
  } else {
    values = sys::changed_options(sys::read_options(fd, shape), defaults(shape));
  }
  for (sys::SocketOptionValue& value : values) {
    image::SocketOption& option = *into.Add();
    option.set_level(value.level);
    option.set_name(value.name);
    option.set_value(std::move(value.bytes));
  }
  return {};
}

std::vector<sys::SocketOptionValue> options_of(const google::protobuf::RepeatedPtrField<image::SocketOption>& options) {
  std::vector<sys::SocketOptionValue> values;
  for (const image::SocketOption& option : options) values.push_back({option.level(), option.name(), option.value()});
  return values;
}

}  // namespace godwit::objects
