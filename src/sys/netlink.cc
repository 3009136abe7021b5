#include "sys/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstring>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

constexpr size_t kReceiveBytes = 32768;
constexpr int kMostQueuedBytes = 64 << 20;

bool tolerated(int code, NetlinkBatch::Tolerate tolerate) {
  if (code == 0) return true;
  if (tolerate == NetlinkBatch::Tolerate::already_there) return code == EEXIST;
  if (tolerate == NetlinkBatch::Tolerate::not_there)
    return code == ENOENT || code == ESRCH || code == ENODEV || code == EADDRNOTAVAIL;
  return false;
}

// What the kernel says of an error beyond its number.
std::string reason_in(const nlmsghdr* answer) {
  if ((answer->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(answer, sizeof(nlmsgerr)));
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(answer));
  for (; mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute)) {
    if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG) return mnl_attr_get_str(attribute);
  }
  return {};
}

Error failure(int code, const nlmsghdr* answer, uint32_t number) {
  std::string reason = reason_in(answer);
  std::string context = "network change " + std::to_string(number) + (reason.empty() ? "" : ": " + reason);
  return Error{kind_of(code), code, "rtnetlink", std::move(context)};
}

}  // namespace

void NetlinkBatch::append(const void* bytes, size_t length) {
  const auto* from = static_cast<const std::byte*>(bytes);
  bytes_.insert(bytes_.end(), from, from + length);
  bytes_.resize(MNL_ALIGN(bytes_.size()));
}

nlmsghdr* NetlinkBatch::last() { return reinterpret_cast<nlmsghdr*>(bytes_.data() + starts_.back()); }

nlmsghdr* NetlinkBatch::begin(uint16_t type, uint16_t flags, Tolerate tolerate) {
  starts_.push_back(bytes_.size());
  tolerated_.push_back(tolerate);
  nlmsghdr message{};
  message.nlmsg_len = sizeof message;
  message.nlmsg_type = type;
  message.nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST | NLM_F_ACK);
  message.nlmsg_seq = static_cast<uint32_t>(starts_.size());
  append(&message, sizeof message);
  return last();
}

void NetlinkBatch::header(const void* bytes, size_t length) {
  append(bytes, length);
  last()->nlmsg_len = static_cast<uint32_t>(bytes_.size() - starts_.back());
}

void NetlinkBatch::attribute(uint16_t type, const void* bytes, size_t length) {
  nlattr attribute{};
  attribute.nla_type = type;
  attribute.nla_len = static_cast<uint16_t>(sizeof attribute + length);
  append(&attribute, sizeof attribute);
  append(bytes, length);
  last()->nlmsg_len = static_cast<uint32_t>(bytes_.size() - starts_.back());
}

void NetlinkBatch::attribute_text(uint16_t type, const char* text) { attribute(type, text, std::strlen(text) + 1); }

void NetlinkBatch::raw(std::string_view attributes) {
  append(attributes.data(), attributes.size());
  last()->nlmsg_len = static_cast<uint32_t>(bytes_.size() - starts_.back());
}

nlmsghdr* NetlinkBatch::begin_unanswered(uint16_t type) {
  ++unanswered_;
  nlmsghdr* message = begin(type, 0);
  message->nlmsg_flags = NLM_F_REQUEST;
  return message;
}

size_t NetlinkBatch::open(uint16_t type) {
  size_t at = bytes_.size();
  attribute(static_cast<uint16_t>(type | NLA_F_NESTED), nullptr, 0);
  return at;
}

void NetlinkBatch::close(size_t opened) {
  reinterpret_cast<nlattr*>(bytes_.data() + opened)->nla_len = static_cast<uint16_t>(bytes_.size() - opened);
}

void NetlinkBatch::add(const NetlinkBatch& other) {
  size_t base = bytes_.size();
  unanswered_ += other.unanswered_;
  bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
  for (size_t i = 0; i < other.starts_.size(); ++i) {
    starts_.push_back(base + other.starts_[i]);
    tolerated_.push_back(other.tolerated_[i]);
    last()->nlmsg_seq = static_cast<uint32_t>(starts_.size());
  }
}

Result<Netlink> Netlink::open(int protocol) {
  Netlink netlink{UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol))};
  if (!netlink.fd_.valid()) return last_error("socket(AF_NETLINK)");
  int on = 1;
  for (int option : {NETLINK_CAP_ACK, NETLINK_EXT_ACK}) {
    TRY(checked_void(::setsockopt(netlink.fd(), SOL_NETLINK, option, &on, sizeof on), "setsockopt(SOL_NETLINK)"));
  }
  for (int option : {SO_SNDBUFFORCE, SO_RCVBUFFORCE}) {  // both only bound what is queued
    TRY(checked_void(::setsockopt(netlink.fd(), SOL_SOCKET, option, &kMostQueuedBytes, sizeof kMostQueuedBytes),
                     "setsockopt(SO_SNDBUFFORCE)"));
  }
  timeval patience{5, 0};
  TRY(checked_void(::setsockopt(netlink.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience),
                   "setsockopt(SO_RCVTIMEO)"));
  return netlink;
}

Result<Netlink> Netlink::listen(uint32_t groups) {
  Netlink netlink{UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE))};
  if (!netlink.fd_.valid()) return last_error("socket(AF_NETLINK)");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  TRY(checked_void(::bind(netlink.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind(AF_NETLINK)"));
  return netlink;
}

Result<void> Netlink::run(const NetlinkBatch& batch, const Told& told) {
  if (batch.empty()) return {};
  ssize_t sent = ::send(fd_.get(), batch.bytes_.data(), batch.bytes_.size(), 0);
  if (sent < 0) return last_error("send(AF_NETLINK)");
  Result<void> outcome;
  alignas(nlmsghdr) std::byte buffer[kReceiveBytes];
  for (size_t answered = 0; answered < batch.starts_.size() - batch.unanswered_;) {
    ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return last_error("recv(AF_NETLINK)");
    int left = static_cast<int>(count);
    for (auto* answer = reinterpret_cast<nlmsghdr*>(buffer); mnl_nlmsg_ok(answer, left);
         answer = mnl_nlmsg_next(answer, &left)) {
      if (answer->nlmsg_seq == 0 || answer->nlmsg_seq > batch.starts_.size()) continue;
      if (outcome && (answer->nlmsg_flags & NLM_F_DUMP_INTR) != 0) {
        outcome = error(ErrorKind::retry, "the network changed while it was looked at");
      }
      if (answer->nlmsg_type != NLMSG_ERROR && answer->nlmsg_type != NLMSG_DONE) {
        if (told) told(answer);
        continue;
      }
      ++answered;
      int code = -*static_cast<const int*>(mnl_nlmsg_get_payload(answer));  // the first of either kind's
      if (outcome && !tolerated(code, batch.tolerated_[answer->nlmsg_seq - 1])) {
        outcome = failure(code, answer, answer->nlmsg_seq);
      }
    }
  }
  return outcome;
}

Result<bool> Netlink::receive(const Told& told) {
  bool all = true;
  alignas(nlmsghdr) std::byte buffer[kReceiveBytes];
  constexpr int kAtOnce = 64;
  for (int i = 0; i < kAtOnce; ++i) {
    ssize_t count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return all;
    if (count < 0 && errno == ENOBUFS) {
      all = false;
      continue;
    }
    if (count < 0) return last_error("recv(AF_NETLINK)");
    int left = static_cast<int>(count);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      told(message);
    }
  }
  return all;
}

}  // namespace godwit::sys
