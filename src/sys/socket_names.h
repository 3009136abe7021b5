// SocketNameStage: a place where unix sockets get names that are the paths they will have, before they have them.
//
// The kernel records the text given to bind(2). Bound with a private directory as "/" a socket has the right name
// already, its file lies in that directory, and one rename(2) puts it in its place. Failure and the destructor leave
// nothing behind. Requires a single-threaded process with CAP_SYS_CHROOT. Source: unix(7), chroot(2), Linux
// net/unix/af_unix.c (unix_bind_bsd).
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

class SocketNameStage {
 public:
  // `directory`: where the file will lie. `path`: as in the address.
  static Result<SocketNameStage> make(UniqueFd directory, std::string path);
  ~SocketNameStage();
  SocketNameStage(SocketNameStage&& other) noexcept = default;
  SocketNameStage& operator=(SocketNameStage&&) = delete;

  // Addresses mean what lies in the stage while the scope lasts.
  class Inside {
   public:
    ~Inside();
    Inside(Inside&& other) noexcept : root_(std::move(other.root_)), at_(std::move(other.at_)) {}
    Inside& operator=(Inside&&) = delete;

   private:
    friend class SocketNameStage;
    Inside(UniqueFd root, UniqueFd at) : root_(std::move(root)), at_(std::move(at)) {}
    UniqueFd root_, at_;
  };
  Result<Inside> enter() const;

  // Whether something lies already where the name will be.
  bool taken() const;
  Result<void> set_owner(uid_t uid, gid_t gid, mode_t mode);
  // Whether this process's effective user, `uid`, may.
  bool may_publish(uid_t uid) const;
  // Puts the socket's file in its place, whatever lies there.
  Result<void> publish();
  // Takes back what publish() did where nothing lay before.
  void withdraw();

 private:
  SocketNameStage(UniqueFd directory, std::string path) : directory_(std::move(directory)), path_(std::move(path)) {}
  std::string base() const;

  UniqueFd directory_, stage_;
  std::string path_, name_;  // of the stage in the directory
};

// bind(2) and connect(2) to a struct sockaddr as bytes.
Result<void> bind_to(int fd, const std::string& address);
Result<void> connect_to(int fd, const std::string& address);
Result<std::string> own_address(int fd);
// An IPv4 address that is told in an IPv6 one (RFC 4291 section 2.5.5.2) by itself; others as they are.
std::string unmapped(const std::string& address);
// Of an IPv4 or IPv6 socket that is connected or asks to be: SO_PEERNAME.
Result<std::string> asked_address(int fd);
// Empty when it is not connected.
Result<std::string> peer_address(int fd);

}  // namespace godwit::sys
