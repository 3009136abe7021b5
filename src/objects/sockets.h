// What the sockets of a job have in common: at the source what is known of its network namespace, and which descriptors
// are in flight between sockets; at the destination the making of all sockets together, since they belong together.
//
// Source: sock_diag(7), unix(7), tcp(7).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "freeze/frozen_cgroup.h"
#include "godwit/image.pb.h"
#include "objects/words_within.h"
#include "sys/accept_queue.h"
#include "sys/closed_connections.h"
#include "sys/multicast.h"
#include "sys/option_watch.h"
#include "sys/packet_name.h"
#include "sys/socket_filter.h"
#include "sys/socket_options.h"
#include "sys/tcp_numbers.h"
#include "sys/tcp_repair.h"
#include "sys/unix_diag.h"

namespace godwit::objects {

enum class Depth;
struct RestoreTools;

// Descriptors found in the queue of a unix socket.
struct InFlight {
  uint32_t description;  // the socket's
  int message;           // in its queue
  std::vector<UniqueFd> descriptors;
};

class SocketCapture {
 public:
  // Of the job whose godwit-init this is. Before the freeze. `cgroup`: of what moves.
  static Result<SocketCapture> open(pid_t init_host_pid, int init_pidfd, std::string cgroup);

  // Forgets what an earlier capture found.
  void begin();
  // Of the job's own network namespace; null: it is of another one.
  Result<const sys::UnixSocketRecord*> unix_socket(uint64_t inode);
  // Whether a socket waits to be accepted by a listening one.
  bool is_waiting(uint64_t inode) const { return waiting_.contains(inode); }
  Result<bool> of_the_job(int fd) const;
  // `network`: a network namespace.
  Result<bool> is_of_the_job(int network) const;
  // The multicast groups that are joined in the job.
  Result<std::vector<sys::MulticastGroup>> groups();
  // Of the job's own network namespace; nothing: the kernel does not tell of it.
  Result<std::optional<sys::PacketRecord>> packet_socket(uint64_t inode);
  // Whom a raw or ping socket is connected to; empty: to nobody.
  Result<std::string> raw_peer(const sys::SocketShape& shape, uint64_t inode) const;
  // Who may have ping sockets in the job.
  Result<std::string> ping_groups();
  // The options of `fd` that are worth telling; `inode`: as know_options() was told.
  using OptionsToTell = google::protobuf::RepeatedPtrField<image::SocketOption>;
  Result<void> add_options(int fd, OptionsToTell& into, const sys::SocketShape& shape, uint64_t inode = 0);
  // Before the freeze: add_options() will be quick for this socket if the program sets none of them until then.
  Result<void> know_options(int fd, uint64_t inode, const sys::SocketShape& shape);

  // The multicast groups that this socket has joined.
  Result<void> add_memberships(int fd, int family, google::protobuf::RepeatedPtrField<image::Membership>& into);

  // Holds a TCP socket still until this capture begins again or ends; the reference is good until the next call.
  // `filter`: the one that it has.
  Result<const sys::RepairMode*> hold_still(int fd, std::string filter);
  // Work in the job's network, in one visit if it is known that there will be several: each takes some 20 us.
  Result<void> in_network(const std::function<Result<void>()>& work);
  bool expects_connections() const { return tcp_numbers_.has_value(); }
  // Whether it can be read where a connection stands; loaded when first asked for, which takes milliseconds.
  bool sees_numbers();
  Result<sys::TcpUrgent> urgent_of(int fd);
  // Null: this kernel cannot fill one. Loaded when first asked for, which takes milliseconds.
  const sys::AcceptQueue* accept_queue();
  // Accepts what waits for a listening socket and holds it still. Requires: accept_queue(). When the job stays it is
  // put back.
  Result<std::vector<sys::TcpConnection>> take_waiting(int listening);
  // What was taken, for whoever has to put it back when we are killed (objects/tcp_rest.h).
  image::TcpRest taken() const;
  // Of connections that the program has closed.
  Result<std::vector<sys::LastWords>> last_words() { return closed_.last_words(); }
  // Where those stand. Not told of, and left in `words`, are such as are within the job, cannot be read, or are too
  // many; those that have said everything meanwhile are taken out.
  Result<std::vector<sys::TcpStanding>> standings(std::vector<sys::LastWords>& words);
  // Of those within the job: who reads them, by what was captured. Told of in `host`; words that nobody reads are taken
  // out.
  Result<std::vector<ReaderWithin>> readers_within(std::vector<sys::LastWords>& words, image::LogicalHost& host);
  // A listening socket; whether requests wait for one of them decides what add_requests() does.
  Result<void> note_requests(int listening);
  Result<void> add_requests(image::LogicalHost& host);
  // Lets go of all that is held still.
  void release();
  // From the first socket that is held still on the job's cgroup is frozen, so that not even our death lets the program
  // see such a socket before the daemon has let go of it. This ends it, for threads that must run once more.
  void thaw() { frozen_.reset(); }
  // The job has left: what is held still stays so until it is closed.
  void commit();

  std::vector<InFlight> in_flight;

 private:
  SocketCapture(pid_t init_pid, UniqueFd init, std::string cgroup, sys::UnixDiag diag, sys::ClosedConnections closed,
                sys::DropFilter drop, uint64_t network)
      : init_pid_(init_pid),
        init_(std::move(init)),
        cgroup_(std::move(cgroup)),
        diag_(std::move(diag)),
        closed_(std::move(closed)),
        drop_(std::move(drop)),
        network_(network) {}
  Result<void> look();
  bool was_waiting(const std::string& local, const std::string& peer) const;  // a connection, to be accepted
  Result<void> freeze();
  void put_back();

  pid_t init_pid_;
  UniqueFd init_;
  std::string cgroup_;
  sys::UnixDiag diag_;
  sys::ClosedConnections closed_;
  sys::DropFilter drop_;
  std::vector<sys::RepairMode> still_;
  struct Taken {
    sys::RepairMode still;
    sys::TcpConnection connection;
  };
  std::vector<Taken> taken_;  // out of accept queues
  bool has_requests_ = false;
  std::optional<Result<sys::AcceptQueue>> accept_queue_;
  std::optional<Result<sys::TcpNumbers>> tcp_numbers_;
  std::optional<freeze::FrozenCgroup> frozen_;
  uint64_t network_;
  bool inside_ = false;  // the network, in in_network()
  bool looked_ = false, missed_ = false;
  std::optional<std::vector<sys::MulticastGroup>> groups_;
  std::optional<std::map<uint64_t, sys::PacketRecord>> packet_;
  std::map<uint64_t, sys::UnixSocketRecord> unix_;
  std::map<uint64_t, uint64_t> waiting_;
  using Options = std::vector<sys::SocketOptionValue>;
  const Options& defaults(const sys::SocketShape& shape);
  std::map<sys::SocketShape, Options> defaults_;
  std::optional<Result<sys::OptionWatch>> watch_;
  std::map<uint64_t, Options> known_options_;  // those worth telling, by inode
};

// What a capture holds still is let go of with this scope, before the program's threads are.
class StillSockets {
 public:
  explicit StillSockets(SocketCapture& sockets) : sockets_(sockets) {}
  ~StillSockets() { sockets_.release(); }
  StillSockets(const StillSockets&) = delete;
  StillSockets& operator=(const StillSockets&) = delete;
  void thaw() { sockets_.thaw(); }
  void commit() && { sockets_.commit(); }

 private:
  SocketCapture& sockets_;
};

std::vector<sys::SocketOptionValue> options_of(const google::protobuf::RepeatedPtrField<image::SocketOption>& options);

Result<void> join_groups(int fd, int family, const google::protobuf::RepeatedPtrField<image::Membership>& groups);

using MadeDescriptions = std::map<uint32_t, UniqueFd>;  // by Description.id

// The unix sockets of a job, made together.
class UnixSocketRestore {
 public:
  // Adds every unix socket to `made`, with nothing queued.
  static Result<std::unique_ptr<UnixSocketRestore>> make(const image::LogicalHost& host, RestoreTools& tools,
                                                         MadeDescriptions& made);
  virtual ~UnixSocketRestore() = default;
  // Queues, options, half-closed states. Requires: all descriptions are made. `host_pid`: of a process of the job, in
  // our own pid namespace; 0: it is not there.
  virtual Result<void> fill(const MadeDescriptions& made, const std::function<pid_t(pid_t)>& host_pid) = 0;
  // Names that are free get their files before the switchover; the others are replaced after it.
  virtual Result<void> publish_new_names() = 0;
  virtual Result<void> publish_all_names() = 0;
};

// Before the freeze, in the job's network: what connections that wait to be accepted will need, which takes some
// milliseconds to make. Nothing when the program does not listen, or the kernel cannot.
std::optional<sys::AcceptQueue> ready_accept_queue(const image::LogicalHost& plan);

// The TCP sockets of a job that do not listen, made together. Connections between two of them take part again before
// the switchover; those with others only after it, since they speak to somebody outside.
class TcpSocketRestore {
 public:
  // Adds every such socket to `made`. Requires: listening sockets are made.
  static Result<std::unique_ptr<TcpSocketRestore>> make(const image::LogicalHost& host, RestoreTools& tools,
                                                        MadeDescriptions& made);
  virtual ~TcpSocketRestore() = default;
  virtual Result<void> connect_inside() = 0;
  virtual image::TcpRest rest() const = 0;  // that connect_outside() is to do
  virtual Result<void> connect_outside() = 0;
  // Of the host's closed_within, after connect_inside(): those that stand in for them, or none where nobody reads.
  virtual std::vector<UniqueFd> take_speakers() = 0;
};

}  // namespace godwit::objects
