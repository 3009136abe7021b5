// How a daemon is set up: defaults, then the configuration file (TOML), then the command line.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "forwarding/tunnel.h"

namespace godwit::node {

struct Config {
  std::string node;                   // default: the hostname
  std::string address = "127.0.0.1";  // where other nodes reach this one
  unsigned port = 7707;
  std::string run_directory = "/run/godwit";
  std::string state_directory = "/var/lib/godwit";
  std::string directory_node, directory_address;  // empty: this node keeps the directory itself
  unsigned directory_port = 7707;
  std::string cgroup;                 // below the cgroup2 mount; default "godwit"
  std::string metrics;                // HOST:PORT that they are served on; empty: they are not
  forwarding::TunnelSettings tunnel;  // to nodes behind routers
  std::string fault;                  // hidden, for tests
  bool debug = false;
};

// Errors: corrupt, with the file's line.
Result<void> read_config_file(const std::string& path, Config& config);
// "NAME=ADDRESS" or "NAME=ADDRESS:PORT".
Result<void> parse_directory(const std::string& text, Config& config);

}  // namespace godwit::node
