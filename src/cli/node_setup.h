// Where a node keeps its configuration and keys, and how a command sets them up. A failure leaves files that were there
// as they were.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace godwit::cli {

struct NodePlaces {
  std::string config = "/etc/godwit/godwitd.toml";
  std::string state = "/var/lib/godwit";
  std::string tls() const { return state + "/tls"; }
};

// TOML text with `key` set to the string `value`: in the line that sets it, or that is a comment doing so, or in a new
// line in front. Requires: a text without tables, a value without quotes, backslashes and control characters.
std::string with_setting(std::string_view text, std::string_view key, std::string_view value);

// Writes the settings to the configuration file, which is made if need be; other lines stay.
Result<void> write_settings(const NodePlaces& places, const std::vector<std::pair<std::string, std::string>>& settings);

// Errors: conflict when this machine has keys of a cluster already; denied without root.
Result<void> check_not_in_cluster(const NodePlaces& places);

// `given`, or the host's name up to the first dot. Errors: corrupt when that is no node name.
Result<std::string> node_name(const std::string& given);

// `given`, or this machine's first address that is not a loopback one. Errors: corrupt when it is no IP address, gone
// when the machine has none.
Result<std::string> node_address(const std::string& given);

// "HOST", "HOST:PORT", "[V6]:PORT", of the node that admits others. Errors: corrupt.
Result<std::pair<std::string, uint16_t>> host_and_port(const std::string& text);

}  // namespace godwit::cli
