// What every kind of open file description is captured from and restored with. One file per kind beside this one holds
// both halves: capture_x() at the source, restore_x() at the destination.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "files/file_table.h"
#include "files/opener.h"
#include "files/owner_rights.h"
#include "godwit/image.pb.h"
#include "godwit/worker.pb.h"
#include "objects/network_links.h"
#include "objects/ready_descriptions.h"
#include "objects/shared_memory.h"
#include "objects/sockets.h"
#include "proc/fdinfo.h"
#include "sys/accept_queue.h"
#include "sys/namespace_visit.h"
#include "sys/socket_state.h"

namespace godwit::objects {

enum class Depth {
  plan,  // the program runs: what is there and what blocks, no content
  full,  // all threads are stopped: everything
};

// The job's side of a console, as it is recognised at the source.
struct ConsoleEnd {
  bool terminal;
  uint64_t id;  // st_ino of the pipe, or the terminal's number
  uint32_t console, stream;
};
using ConsoleEnds = std::vector<ConsoleEnd>;

// The same at the destination: a descriptor in this worker.
struct ConsoleFd {
  uint32_t console, stream;
  bool terminal;
  int fd;
};

// One description in one process, at the source.
struct OpenDescriptor {
  pid_t pid, host_pid;
  int number;
  int pidfd;             // of the process; -1: it is in flight
  const UniqueFd& copy;  // by pidfd_getfd
  std::string link;      // text of /proc/PID/fd/N
  struct stat status;
  proc::FdInfo info;
};

// A queue of what cannot move: it is waited for until the program has read it.
struct Unread {
  int pidfd;
  int number;
  std::string link;  // what the number stands for, lest it is another meanwhile
  bool may_be_lost;  // when that does not end
};

struct CaptureTools {
  Depth depth;
  files::FileTable& files;
  SharedMemoryTable& shared_memory;
  const ConsoleEnds& consoles;
  std::map<uint64_t, bool>& pipes_with_content;  // pipes whose content has been captured
  SocketCapture& sockets;
  std::vector<Unread>& to_be_read;
  std::function<pid_t(pid_t)> inner_pid;  // of a process in our own pid namespace; 0: it is not in the job
};

struct RestoreTools {
  TunEnds& tun_ends;                              // of which none is attached yet
  std::optional<sys::AcceptQueue>& accept_queue;  // loaded ahead, or not
  files::Opener& opener;
  const sys::MountNamespace& mounts;  // the job's
  SharedMemorySet& shared_memory;
  std::span<const ConsoleFd> consoles;
  std::chrono::nanoseconds elapsed;  // since the capture
  ReadyDescriptions& ready;
  std::map<uint64_t, PipeEnds> pipes;  // by their numbers in the image
  std::set<uint64_t> packet_pipes;     // of them; what is written to them stays apart
  files::Owner owner;
  std::function<pid_t(pid_t)> host_pid;  // of a process of the job; 0: there is none
};

// Status flags that open(2) and fcntl(2) may be given again.
uint32_t status_flags(uint32_t flags);

// Nothing: it is captured. Otherwise why it cannot be moved.
struct Unsupported {
  std::string code, what, remedy;
  bool passes = false;  // when the program goes on: it need only read or accept what waits
};
using Captured = Result<std::optional<Unsupported>>;
// `kind`: of socket, for a person.
Unsupported unreadable_filter(const std::string& kind);

Captured capture_file(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_pipe(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_terminal(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_unix_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_tcp_listener(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_tcp_socket(const OpenDescriptor& open, const sys::SocketKind& kind, CaptureTools& tools,
                            image::Description& into);
Captured capture_udp_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_netlink_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_inotify(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_raw_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_packet_socket(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_tun(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);
Captured capture_anonymous(const OpenDescriptor& open, CaptureTools& tools, image::Description& into);

Result<UniqueFd> restore_file(const image::Description& description, RestoreTools& tools);
Result<UniqueFd> restore_pipe(const image::Description& description, RestoreTools& tools);
Result<UniqueFd> restore_terminal(const image::Description& description, RestoreTools& tools);
Result<UniqueFd> restore_tun(const image::Description& description, RestoreTools& tools);
Result<UniqueFd> restore_tcp_listener(const image::Description& description, RestoreTools& tools);
Result<UniqueFd> restore_udp_socket(const image::Description& description, RestoreTools& tools);
Result<UniqueFd> restore_netlink_socket(const image::Description& description, RestoreTools& tools);
// Without its watches, and without what is queued.
Result<UniqueFd> restore_inotify(const image::Description& description, RestoreTools& tools);
// The watches; from now on events are told.
Result<void> watch_again(int inotify, const image::Inotify& state, files::Opener& opener, const files::Owner& owner);
// Raw and packet sockets, deaf: no packet that others of this worker make comes in.
Result<UniqueFd> restore_raw_socket(const image::Description& description, RestoreTools& tools);
Result<UniqueFd> restore_packet_socket(const image::Description& description, RestoreTools& tools);
// They hear again, what was queued first. Requires: no packet but the program's is made any more.
Result<void> hear_again(int fd, const image::RawSocket& socket);
Result<void> hear_again(int fd, const image::PacketSocket& socket);
Result<UniqueFd> restore_anonymous(const image::Description& description, RestoreTools& tools);

}  // namespace godwit::objects
