#include "sys/unix_messages.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <memory>

#include "sys/errno.h"
#include "sys/socket_options.h"

namespace godwit::sys {

namespace {

constexpr size_t kMostDescriptors = 253;          // SCM_MAX_FD, include/net/scm.h
constexpr size_t kBufferBytes = size_t{4} << 20;  // more than a message can be with any usual net.core.wmem_max
constexpr uid_t kNobody = 65534;                  // what the kernel says when it recorded nobody

// The socket as it was, when the scope ends.
class PeekScope {
 public:
  static Result<PeekScope> open(int fd) {
    PeekScope scope(fd, TRY(read_option(fd, SOL_SOCKET, SO_PEEK_OFF)), TRY(read_option(fd, SOL_SOCKET, SO_PASSCRED)));
    TRY(set_option(fd, SOL_SOCKET, SO_PEEK_OFF, 0));
    TRY(set_option(fd, SOL_SOCKET, SO_PASSCRED, 1));
    return scope;
  }
  ~PeekScope() {
    if (fd_ < 0) return;
    (void)set_option(fd_, SOL_SOCKET, SO_PEEK_OFF, offset_);  // what it had was accepted before
    (void)set_option(fd_, SOL_SOCKET, SO_PASSCRED, credentials_);
  }
  PeekScope(PeekScope&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), offset_(other.offset_), credentials_(other.credentials_) {}
  PeekScope& operator=(PeekScope&&) = delete;

 private:
  PeekScope(int fd, int offset, int credentials) : fd_(fd), offset_(offset), credentials_(credentials) {}
  int fd_, offset_, credentials_;
};

void take_control(msghdr& message, UnixMessage& into) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET) continue;
    if (header->cmsg_type == SCM_RIGHTS) {
      size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        into.descriptors.emplace_back(fd);
      }
    }
    if (header->cmsg_type == SCM_CREDENTIALS) {
      ucred who{};
      std::memcpy(&who, CMSG_DATA(header), sizeof who);
      if (who.pid != 0 || who.uid != kNobody) into.sender = UnixSender{who.pid, who.uid, who.gid};
    }
  }
}

bool something_to_read(int fd) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, 0) > 0 && (one.revents & POLLIN) != 0;
}

struct PeekBuffer {
  std::unique_ptr<char[]> bytes = std::make_unique_for_overwrite<char[]>(kBufferBytes);
  char control[CMSG_SPACE(kMostDescriptors * sizeof(int)) + CMSG_SPACE(sizeof(ucred)) + 256];
  sockaddr_un from;
};

// Nothing: the end of what is there.
Result<std::optional<UnixMessage>> peek_one(int fd, int type, PeekBuffer& buffer) {
  iovec part{buffer.bytes.get(), kBufferBytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = buffer.control;
  message.msg_controllen = sizeof buffer.control;
  message.msg_name = &buffer.from;
  message.msg_namelen = sizeof buffer.from;
  ssize_t size = ::recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0 && errno == EAGAIN) return std::optional<UnixMessage>();
  if (size < 0) return last_error("recvmsg", "looking into a unix socket");
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return error(ErrorKind::exhausted, "a message in a unix socket is too large");
  }
  // Credentials come with every message, not with the end.
  if (size == 0 && (type == SOCK_STREAM || message.msg_controllen == 0)) return std::optional<UnixMessage>();
  UnixMessage taken;
  taken.bytes.assign(buffer.bytes.get(), static_cast<size_t>(size));
  take_control(message, taken);
  if (type == SOCK_DGRAM && message.msg_namelen > sizeof(sa_family_t)) {
    taken.from.assign(reinterpret_cast<const char*>(&buffer.from), message.msg_namelen);
  }
  return std::optional<UnixMessage>(std::move(taken));
}

}  // namespace

Result<std::vector<UnixMessage>> peek_messages(int fd, int type, size_t queued_bytes) {
  std::vector<UnixMessage> messages;
  bool none = type == SOCK_STREAM ? queued_bytes == 0 : !something_to_read(fd);
  if (none) return messages;
  PeekScope scope = TRY(PeekScope::open(fd));
  PeekBuffer buffer;
  size_t have = 0;
  while (type != SOCK_STREAM || have < queued_bytes) {
    auto message = TRY(peek_one(fd, type, buffer));
    if (!message) break;
    have += message->bytes.size();
    messages.push_back(std::move(*message));
  }
  if (type == SOCK_STREAM && have != queued_bytes) {
    return error(ErrorKind::retry, "a unix socket's queue changed while it was looked at");
  }
  return messages;
}

Result<void> put_message(int fd, int type, std::string_view bytes, const std::optional<UnixSender>& sender,
                         std::span<const int> descriptors, std::string_view to) {
  if (descriptors.size() > kMostDescriptors || to.size() > sizeof(sockaddr_un)) {
    return error(ErrorKind::corrupt, "an impossible message in a unix socket");
  }
  alignas(cmsghdr) char control[CMSG_SPACE(kMostDescriptors * sizeof(int)) + CMSG_SPACE(sizeof(ucred))] = {};
  size_t used = 0;
  auto add = [&](int kind, const void* data, size_t size) {
    auto* header = reinterpret_cast<cmsghdr*>(control + used);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = kind;
    header->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(header), data, size);
    used += CMSG_SPACE(size);
  };
  if (!descriptors.empty()) add(SCM_RIGHTS, descriptors.data(), descriptors.size_bytes());
  if (sender) {
    ucred who{sender->pid, sender->uid, sender->gid};
    add(SCM_CREDENTIALS, &who, sizeof who);
  }
  sockaddr_un address{};
  std::memcpy(&address, to.data(), to.size());
  do {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = used > 0 ? control : nullptr;
    message.msg_controllen = used;
    message.msg_name = to.empty() ? nullptr : &address;
    message.msg_namelen = static_cast<socklen_t>(to.size());
    ssize_t sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return last_error("sendmsg", "filling a unix socket");
    bytes.remove_prefix(static_cast<size_t>(sent));
    bool parts_left = type == SOCK_STREAM && !bytes.empty();
    if (!parts_left) return {};
    if (!descriptors.empty()) used = 0;  // they went with the first part; a sender is told with each
    if (!descriptors.empty() && sender) {
      ucred who{sender->pid, sender->uid, sender->gid};
      add(SCM_CREDENTIALS, &who, sizeof who);
    }
  } while (true);
}

}  // namespace godwit::sys
