#include "objects/sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "objects/tcp_connection.h"
#include "sys/file.h"
#include "sys/network_visit.h"
#include "sys/socket_state.h"
#include "sys/stream_socket.h"

namespace godwit::objects {

Result<SocketCapture> SocketCapture::open(pid_t init_host_pid, int init_pidfd, std::string cgroup) {
  UniqueFd init = TRY(sys::duplicate(init_pidfd));
  UniqueFd probe = TRY(sys::socket_in_network_of(init_pidfd, AF_UNIX, SOCK_DGRAM, 0));
  uint64_t network = TRY(sys::network_of(probe.get()));
  return SocketCapture(init_host_pid, std::move(init), std::move(cgroup), TRY(sys::UnixDiag::open(init_pidfd)),
                       TRY(sys::DropFilter::load()), network);
}

void SocketCapture::begin() {
  looked_ = false;
  unix_.clear();
  waiting_.clear();
  groups_.reset();
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

Result<std::vector<sys::TcpConnection>> SocketCapture::take_waiting(int listening) {
  TRY(freeze());
  std::vector<sys::TcpConnection> connections;
  while (TRY(sys::readable_now(listening))) {
    UniqueFd fd = TRY(sys::accept_from(listening));
    sys::TcpState state = TRY(sys::tcp_state(fd.get()));
    if (state != sys::TcpState::established && state != sys::TcpState::close_wait) continue;  // reset by its peer
    sys::RepairMode still = TRY(sys::RepairMode::enter(fd.get(), drop_));
    sys::TcpConnection connection = TRY(sys::read_connection(still));
    connections.push_back(connection);
    taken_.push_back({std::move(still), std::move(connection)});
  }
  return connections;
}

Result<void> SocketCapture::note_requests(int listening) {
  if (has_requests_ || accept_queue() == nullptr) return {};
  return sys::in_network_of(init_.get(), [&]() -> Result<void> {
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

Result<const sys::RepairMode*> SocketCapture::hold_still(int fd) {
  TRY(freeze());
  still_.push_back(TRY(sys::RepairMode::enter(fd, drop_)));
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

Result<void> SocketCapture::look() {
  if (looked_) return {};
  unix_ = TRY(diag_.read());
  for (auto& [inode, record] : unix_) {
    for (uint64_t client : record.waiting) waiting_[client] = inode;
  }
  looked_ = true;
  return {};
}

Result<const sys::UnixSocketRecord*> SocketCapture::unix_socket(uint64_t inode) {
  TRY(look());
  auto found = unix_.find(inode);
  return found == unix_.end() ? nullptr : &found->second;
}

Result<bool> SocketCapture::of_the_job(int fd) const { return TRY(sys::network_of(fd)) == network_; }

Result<std::vector<sys::MulticastGroup>> SocketCapture::groups() {
  if (!groups_) groups_ = TRY(sys::joined_groups(init_pid_));
  return *groups_;
}

Result<void> SocketCapture::add_options(int fd, google::protobuf::RepeatedPtrField<image::SocketOption>& into) {
  sys::SocketShape shape = TRY(sys::shape_of(fd));
  auto known = defaults_.find(shape);
  if (known == defaults_.end()) {
    std::vector<sys::SocketOptionValue> values;
    auto fresh = sys::socket_in_network_of(init_.get(), shape.family, shape.type, shape.protocol);
    if (fresh) values = sys::read_options(fresh->get(), shape);  // otherwise every option is told
    known = defaults_.emplace(shape, std::move(values)).first;
  }
  for (sys::SocketOptionValue& value : sys::changed_options(sys::read_options(fd, shape), known->second)) {
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
