// Which daemon `godwit` talks to: --connect, then $GODWIT_CONNECT, then the local daemon, then the running lab's node1.
// A lab that is named (--lab or $GODWIT_LAB) goes before the local daemon.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace godwit::cli {

// Options that every command takes.
struct Globals {
  std::string connect;  // --connect
  std::string lab;      // --lab
};

struct Address {
  std::string target;  // as gRPC takes it: unix:PATH
  std::string words;   // for messages
  bool operator==(const Address&) const = default;
};

// What the search looks at; tests put their own in place.
struct Surroundings {
  std::function<std::optional<std::string>(const std::string&)> environment;
  std::function<bool(const std::string& path)> socket_exists;
  std::function<std::vector<std::string>()> lab_names;  // running or not
};
Surroundings real_surroundings();

inline constexpr const char* kLocalSocket = "/run/godwit/godwitd.sock";
inline constexpr const char* kLabDirectory = "/run/godwit-lab";

// The socket of a lab node's daemon, seen from the machine.
std::string lab_socket(const std::string& lab, const std::string& node);

// A file name that cannot lead out of its directory: letters, digits, '.', '_' and '-', not beginning with '.' or '-'.
bool is_plain_name(const std::string& name);

// Errors: gone (no daemon, with what to do about it), conflict (several labs), corrupt (a name that is none).
Result<Address> find_daemon(const Globals& globals, const Surroundings& surroundings);

}  // namespace godwit::cli
