// A conversation with the kernel about its network: rtnetlink(7), with libmnl.
//
// A NetlinkBatch is a list of changes, built ahead; Netlink::run() sends it with one system call and reads the answers.
// The kernel makes the changes in order. What can be changed is in the files netlink_*.h. A Netlink speaks of the
// network namespace it was opened in, wherever its process goes later.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

class NetlinkBatch {
 public:
  enum class Tolerate { nothing, already_there, not_there };
  // Begins a change of rtnetlink type `type`; the message stays valid until the next begin().
  nlmsghdr* begin(uint16_t type, uint16_t flags, Tolerate tolerate = Tolerate::nothing);
  // A copy of the fixed part of the message begun last, and attributes.
  void header(const void* bytes, size_t length);
  void attribute(uint16_t type, const void* bytes, size_t length);
  void attribute_u8(uint16_t type, uint8_t value) { attribute(type, &value, sizeof value); }
  void attribute_u32(uint16_t type, uint32_t value) { attribute(type, &value, sizeof value); }
  void attribute_u64(uint16_t type, uint64_t value) { attribute(type, &value, sizeof value); }
  void attribute_text(uint16_t type, const char* text);
  // Attributes as they lie in a message.
  void raw(std::string_view attributes);
  // A message that the kernel does not answer.
  nlmsghdr* begin_unanswered(uint16_t type);
  // Attributes between these lie inside one of type `type`. open() returns what close() takes.
  size_t open(uint16_t type);
  void close(size_t opened);

  bool empty() const { return starts_.empty(); }
  void add(const NetlinkBatch& other);

 private:
  friend class Netlink;
  nlmsghdr* last();
  void append(const void* bytes, size_t length);
  std::vector<std::byte> bytes_;
  std::vector<size_t> starts_;
  std::vector<Tolerate> tolerated_;
  size_t unanswered_ = 0;
};

class Netlink {
 public:
  // Of the calling thread's network namespace. `protocol`: NETLINK_*, by default about routes and links.
  static Result<Netlink> open(int protocol = NETLINK_ROUTE);
  // To be told of changes: `groups` as in RTMGRP_*. Non-blocking.
  static Result<Netlink> listen(uint32_t groups);

  using Told = std::function<void(const nlmsghdr*)>;
  // Makes the changes in order. All are tried; the first failure that is not tolerated is returned. Blocks some
  // microseconds for each. What the kernel says in answer to questions goes to `told`. Errors beside the kernel's:
  // retry when a list changed while it was read.
  Result<void> run(const NetlinkBatch& batch, const Told& told = {});
  // Calls `told` for every message that has come. Returns whether it was told of all: too many at once are lost.
  Result<bool> receive(const Told& told);
  int fd() const { return fd_.get(); }

 private:
  explicit Netlink(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace godwit::sys
