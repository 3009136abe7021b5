#include "node/config.h"

#include <toml++/toml.h>

#include <charconv>
#include <filesystem>
#include <sstream>

namespace godwit::node {

Result<void> parse_directory(const std::string& text, Config& config) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return error(ErrorKind::corrupt, "directory is NODE=ADDRESS, not '" + text + "'");
  }
  config.directory_node = text.substr(0, equals);
  std::string address = text.substr(equals + 1);
  size_t colon = address.rfind(':');
  bool has_port = colon != std::string::npos && address.find(':') == colon;
  if (has_port) {
    const char* digits = address.c_str() + colon + 1;
    auto [rest, failed] = std::from_chars(digits, address.c_str() + address.size(), config.directory_port);
    if (failed != std::errc() || *rest != 0) return error(ErrorKind::corrupt, "bad port in '" + text + "'");
    address.resize(colon);
  }
  config.directory_address = address;
  return {};
}

Result<void> read_config_file(const std::string& path, Config& config) {
  std::error_code failed;
  if (!std::filesystem::exists(path, failed)) return {};
  try {
    toml::table table = toml::parse_file(path);
    auto text = [&](const char* key, std::string& value) { value = table[key].value_or(value); };
    text("node", config.node);
    text("address", config.address);
    text("run_directory", config.run_directory);
    text("state_directory", config.state_directory);
    text("cgroup", config.cgroup);
    text("metrics", config.metrics);
    config.port = table["port"].value_or(config.port);
    config.debug = table["debug"].value_or(config.debug);
    config.tunnel.port = table["tunnel_port"].value_or(config.tunnel.port);
    std::string tunnel;
    text("tunnel", tunnel);
    if (!tunnel.empty()) config.tunnel.use = TRY(forwarding::parse_tunnel_use(tunnel).within(path));
    std::string directory;
    text("directory", directory);
    if (!directory.empty()) TRY(parse_directory(directory, config));
  } catch (const toml::parse_error& wrong) {
    std::ostringstream where;
    where << path << ":" << wrong.source().begin.line << ": " << wrong.description();
    return error(ErrorKind::corrupt, where.str());
  }
  return {};
}

}  // namespace godwit::node
