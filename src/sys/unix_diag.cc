#include "sys/unix_diag.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>

#include <cstring>

#include "sys/errno.h"
#include "sys/network_visit.h"

namespace godwit::sys {

namespace {

struct Request {
  nlmsghdr header;
  unix_diag_req body;
};

template <class T>
T read_as(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

void take_attribute(const rtattr* attribute, UnixSocketRecord& into) {
  const void* data = RTA_DATA(attribute);
  size_t size = RTA_PAYLOAD(attribute);
  if (attribute->rta_type == UNIX_DIAG_PEER && size >= 4) into.peer = read_as<uint32_t>(data);
  if (attribute->rta_type == UNIX_DIAG_SHUTDOWN && size >= 1) into.shutdown = read_as<uint8_t>(data);
  if (attribute->rta_type == UNIX_DIAG_VFS && size >= sizeof(unix_diag_vfs)) {
    auto vfs = read_as<unix_diag_vfs>(data);
    into.file_inode = vfs.udiag_vfs_ino;
    into.file_device = vfs.udiag_vfs_dev;
  }
  if (attribute->rta_type == UNIX_DIAG_RQLEN && size >= sizeof(unix_diag_rqlen)) {
    auto lengths = read_as<unix_diag_rqlen>(data);
    into.queued_bytes = lengths.udiag_rqueue;
    (into.state == 10 ? into.backlog : into.unread_bytes) = lengths.udiag_wqueue;
  }
  if (attribute->rta_type == UNIX_DIAG_ICONS) {
    for (size_t at = 0; at + 4 <= size; at += 4) {
      into.waiting.push_back(read_as<uint32_t>(static_cast<const char*>(data) + at));
    }
  }
}

void take_record(const nlmsghdr* message, std::map<uint64_t, UnixSocketRecord>& into) {
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(unix_diag_msg))) return;
  auto found = read_as<unix_diag_msg>(NLMSG_DATA(message));
  UnixSocketRecord record;
  record.type = found.udiag_type;
  record.state = found.udiag_state;
  auto* attribute = reinterpret_cast<const rtattr*>(static_cast<const char*>(NLMSG_DATA(message)) +
                                                    NLMSG_ALIGN(sizeof(unix_diag_msg)));
  int left = static_cast<int>(message->nlmsg_len - NLMSG_LENGTH(sizeof(unix_diag_msg)));
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) take_attribute(attribute, record);
  if (found.udiag_ino != 0) into.emplace(found.udiag_ino, std::move(record));
}

}  // namespace

Result<UnixDiag> UnixDiag::open(int pidfd) {
  return UnixDiag(TRY(socket_in_network_of(pidfd, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG)));
}

Result<std::map<uint64_t, UnixSocketRecord>> UnixDiag::read() const {
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = AF_UNIX;
  request.body.udiag_states = ~uint32_t{0};
  request.body.udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_VFS | UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN;
  if (::send(netlink_.get(), &request, sizeof request, 0) < 0) return last_error("send", "asking for unix sockets");
  std::map<uint64_t, UnixSocketRecord> records;
  alignas(nlmsghdr) static thread_local char buffer[32768];
  for (;;) {
    ssize_t size = ::recv(netlink_.get(), buffer, sizeof buffer, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return last_error("recv", "asking for unix sockets");
    auto left = static_cast<unsigned>(size);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE) return records;
      if (message->nlmsg_type == NLMSG_ERROR) return error(ErrorKind::unsupported, "the kernel does not list sockets");
      take_record(message, records);
    }
  }
}

}  // namespace godwit::sys
