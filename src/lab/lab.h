// The lab: N nodes on this machine, each in namespaces of its own with its own root, network address and daemon.
//
// A lab is a directory under kLabDirectory with what is needed to find and to remove it, written before anything is
// made; its processes are in one cgroup, its mounts and networks live in namespaces that end with them. So `down` works
// after any crash. Requires: root, cgroup v2, overlayfs, ip(8) and tc(8). Called from one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace godwit::lab {

inline constexpr const char* kLabDirectory = "/run/godwit-lab";
inline constexpr const char* kDefaultLab = "lab";
inline constexpr uint32_t kMaxNodes = 200, kMaxRoutedNodes = 64;

struct Options {
  std::string lab = kDefaultLab;
  uint32_t nodes = 2;
  std::string link;      // of each node to the bridge, e.g. "1gbit"; empty: as fast as the machine is
  bool routed = false;   // each in a subnet of its own, with a router between that knows nothing of jobs
  std::string fault;     // hidden: passed to every daemon
  bool debug = false;    // daemons log more
  std::string programs;  // directory with godwitd and godwit-init; empty: found beside this program
  std::chrono::milliseconds patience{20000};  // for the daemons to answer
  // Whether the daemon behind this socket serves requests. Not set: whether it can be connected to.
  std::function<bool(const std::string& socket)> answers;
};

struct NodeStatus {
  std::string name;
  std::string address;
  bool running = false;  // the node's pid 1 is there
  int32_t init_pid = 0;  // on the machine
  bool daemon_running = false;
  int32_t daemon_pid = 0;       // on the machine; 0: none
  bool daemon_answers = false;  // on its socket
  uint32_t processes = 0;       // in the node, its jobs included
  std::string socket;           // of the daemon, seen from the machine
  std::string log;              // of the daemon, seen from the machine
};

struct LabStatus {
  std::string lab;
  std::string link;
  bool routed = false;
  std::vector<NodeStatus> nodes;
};

// Letters, digits, '-' and '_', 1 to 32 of them, not '-' first.
bool valid_lab_name(const std::string& name);

// Ensures: every daemon answers. A failure leaves nothing of the lab behind. What a crashed lab of that name left is
// removed first. Errors: conflict when the lab is up, denied without root, corrupt for a bad name or link.
Result<LabStatus> up(const Options& options);

// Ends every process of the lab and removes all of it. A lab that is not there is no error: false.
Result<bool> down(const std::string& lab);

// Labs there are, whole or not, by name.
std::vector<std::string> names();
// Errors: gone when there is no such lab.
Result<LabStatus> status(const std::string& lab);

// Runs a command in the node with this process's standard streams and terminal and returns its exit code, 128 + signal
// when one ended it. Errors: gone when there is no such lab or node; when the command cannot be started the code is 127
// or 126, as a shell's.
Result<int> exec(const std::string& lab, const std::string& node, std::span<const std::string> command);

// Starts the node's daemon anew if it is not running, with what it was started with, and waits until it answers.
Result<void> start_daemon(const std::string& lab, const std::string& node);

}  // namespace godwit::lab
