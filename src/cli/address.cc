#include "cli/address.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace godwit::cli {

namespace {

Result<Address> at_path(const std::string& path, const Surroundings& surroundings) {
  if (!surroundings.socket_exists(path))
    return error(ErrorKind::gone, fmt::format("there is no daemon's socket at {}", path));
  return Address{"unix:" + path, "the daemon at " + path};
}

Result<Address> given_address(const std::string& text, const Surroundings& surroundings) {
  if (text.starts_with('/')) return at_path(text, surroundings);
  if (text.starts_with("unix:")) return at_path(text.substr(5), surroundings);
  return error(
      ErrorKind::corrupt,
      fmt::format("\"{}\" is no daemon's address; a daemon is asked through its socket on the same machine, so give "
                  "that socket's path",
                  text));
}

Result<Address> in_lab(const std::string& lab, const Surroundings& surroundings) {
  if (!is_plain_name(lab)) return error(ErrorKind::corrupt, fmt::format("\"{}\" is no lab's name", lab));
  std::string path = lab_socket(lab, "node1");
  if (!surroundings.socket_exists(path))
    return error(ErrorKind::gone, fmt::format("lab {} is not running; `godwit lab up 2 --lab {}` starts it", lab, lab));
  return Address{"unix:" + path, fmt::format("node1 of lab {}", lab)};
}

}  // namespace

std::string lab_socket(const std::string& lab, const std::string& node) {
  return fmt::format("{}/{}/{}/godwitd.sock", kLabDirectory, lab, node);
}

bool is_plain_name(const std::string& name) {
  auto plain = [](unsigned char c) { return isalnum(c) || c == '.' || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= 64 && name[0] != '.' && name[0] != '-' && std::ranges::all_of(name, plain);
}

Result<Address> find_daemon(const Globals& globals, const Surroundings& surroundings) {
  if (!globals.connect.empty()) return given_address(globals.connect, surroundings);
  if (!globals.lab.empty()) return in_lab(globals.lab, surroundings);
  if (auto address = surroundings.environment("GODWIT_CONNECT"); address && !address->empty())
    return given_address(*address, surroundings);
  if (auto lab = surroundings.environment("GODWIT_LAB"); lab && !lab->empty()) return in_lab(*lab, surroundings);
  if (surroundings.socket_exists(kLocalSocket))
    return Address{std::string("unix:") + kLocalSocket, "this machine's daemon"};
  std::vector<std::string> running;
  for (const std::string& lab : surroundings.lab_names())
    if (is_plain_name(lab) && surroundings.socket_exists(lab_socket(lab, "node1"))) running.push_back(lab);
  std::ranges::sort(running);
  if (running.size() == 1) return in_lab(running[0], surroundings);
  if (running.size() > 1)
    return error(ErrorKind::conflict, fmt::format("{} labs are running ({}); say which one with --lab", running.size(),
                                                  fmt::join(running, ", ")));
  return error(
      ErrorKind::gone,
      "no godwit daemon runs here; `godwit lab up 2` starts two nodes on this machine, `systemctl start godwitd` "
      "makes this machine a node");
}

Surroundings real_surroundings() {
  return {
      .environment = [](const std::string& name) -> std::optional<std::string> {
        const char* value = getenv(name.c_str());
        return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
      },
      .socket_exists =
          [](const std::string& path) {
            std::error_code ignored;
            return std::filesystem::is_socket(path, ignored);
          },
      .lab_names =
          [] {
            std::vector<std::string> names;
            std::error_code ignored;
            for (const auto& entry : std::filesystem::directory_iterator(kLabDirectory, ignored))
              names.push_back(entry.path().filename().string());
            return names;
          },
  };
}

}  // namespace godwit::cli
