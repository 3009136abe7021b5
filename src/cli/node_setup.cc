#include "cli/node_setup.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <memory>

#include "sys/durable_file.h"
#include "sys/text_file.h"
#include "transport/certificates.h"

namespace godwit::cli {

namespace fs = std::filesystem;

namespace {

constexpr uint16_t kJoinPort = 7708;  // of the node that admits others, next to the one for its peers

// The key that a line sets, or would set if it were no comment; empty if it is something else.
std::string_view key_of(std::string_view line) {
  size_t begin = line.find_first_not_of(" \t#");
  size_t equals = line.find('=');
  if (begin == std::string_view::npos || equals == std::string_view::npos || equals < begin) return {};
  std::string_view key = line.substr(begin, equals - begin);
  return key.substr(0, key.find_last_not_of(" \t") + 1);
}

bool is_address(const std::string& text) {
  in6_addr buffer{};
  return inet_pton(AF_INET, text.c_str(), &buffer) == 1 || inet_pton(AF_INET6, text.c_str(), &buffer) == 1;
}

}  // namespace

std::string with_setting(std::string_view text, std::string_view key, std::string_view value) {
  std::string setting = fmt::format("{} = \"{}\"\n", key, value);
  size_t commented = std::string_view::npos, commented_end = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    std::string_view line = text.substr(at, end - at);
    if (key_of(line) == key) {
      if (line.find('#') > line.find('=')) return fmt::format("{}{}{}", text.substr(0, at), setting, text.substr(end));
      if (commented == std::string_view::npos) {
        commented = at;
        commented_end = end;
      }
    }
    at = end;
  }
  if (commented == std::string_view::npos) return setting + std::string(text);
  return fmt::format("{}{}{}", text.substr(0, commented), setting, text.substr(commented_end));
}

Result<void> write_settings(const NodePlaces& places,
                            const std::vector<std::pair<std::string, std::string>>& settings) {
  std::error_code failed;
  fs::create_directories(fs::path(places.config).parent_path(), failed);
  std::string text;
  if (fs::exists(places.config, failed)) text = TRY(sys::read_text(places.config));
  // back to front, so that new lines come out in the given order
  for (auto setting = settings.rbegin(); setting != settings.rend(); ++setting)
    text = with_setting(text, setting->first, setting->second);
  return sys::replace_file(places.config, text, 0644);
}

Result<void> check_not_in_cluster(const NodePlaces& places) {
  if (geteuid() != 0) return error(ErrorKind::denied, "only root can make this machine a node");
  std::error_code failed;
  for (const char* file : {"/ca.crt", "/ca.key", "/node.crt", "/node.key"})
    if (fs::exists(places.tls() + file, failed))
      return error(ErrorKind::conflict,
                   fmt::format("this machine belongs to a cluster already: its keys are in {}; remove them to make it "
                               "leave that cluster",
                               places.tls()));
  return {};
}

Result<std::string> node_name(const std::string& given) {
  std::string name = given;
  if (name.empty()) {
    utsname names{};
    uname(&names);
    name = names.nodename;
    name.resize(std::min(name.find('.'), name.size()));
  }
  if (!transport::valid_node_name(name))
    return error(ErrorKind::corrupt, fmt::format("\"{}\" cannot be a node's name; give one with --name", name));
  return name;
}

Result<std::string> node_address(const std::string& given) {
  if (!given.empty()) {
    if (!is_address(given)) return error(ErrorKind::corrupt, fmt::format("\"{}\" is no IP address", given));
    return given;
  }
  ifaddrs* list = nullptr;
  std::string found;
  if (getifaddrs(&list) == 0) {
    std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
    for (const ifaddrs* one = list; one != nullptr && found.empty(); one = one->ifa_next) {
      if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET || (one->ifa_flags & IFF_LOOPBACK) != 0)
        continue;
      char text[INET_ADDRSTRLEN];
      const auto* address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      if (inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) != nullptr) found = text;
    }
  }
  if (found.empty())
    return error(ErrorKind::gone, "this machine has no address that others could reach; give one with --address");
  return found;
}

Result<std::pair<std::string, uint16_t>> host_and_port(const std::string& text) {
  Error wrong = error(ErrorKind::corrupt, fmt::format("\"{}\" is no address: give HOST or HOST:PORT", text));
  std::string host = text, port;
  if (text.starts_with('[')) {
    size_t close = text.find(']');
    if (close == std::string::npos || (close + 1 < text.size() && text[close + 1] != ':')) return wrong;
    host = text.substr(1, close - 1);
    if (close + 1 < text.size()) port = text.substr(close + 2);
    if (close + 1 < text.size() && port.empty()) return wrong;
  } else if (size_t colon = text.find(':');
             colon != std::string::npos && text.find(':', colon + 1) == std::string::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return wrong;
  }
  uint16_t number = kJoinPort;
  auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (host.empty() || (!port.empty() && (failed != std::errc() || *end != '\0' || number == 0))) return wrong;
  return std::pair(host, number);
}

}  // namespace godwit::cli
