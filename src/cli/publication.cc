#include "cli/publication.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>

namespace godwit::cli {

namespace {

std::optional<uint32_t> parse_port(std::string_view text) {
  constexpr uint32_t kMostPort = 65535;
  uint32_t number = 0;
  auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = failed == std::errc() && rest == text.data() + text.size();
  return whole && number >= 1 && number <= kMostPort ? std::optional(number) : std::nullopt;
}

}  // namespace

Result<api::Publication> parse_publication(const std::string& text) {
  std::string_view ports = text;
  std::string_view protocol = "tcp";
  size_t slash = ports.find('/');
  if (slash != std::string_view::npos) {
    protocol = ports.substr(slash + 1);
    ports = ports.substr(0, slash);
  }
  size_t colon = ports.find(':');
  auto job_port = parse_port(colon == std::string_view::npos ? ports : ports.substr(colon + 1));
  auto node_port = colon == std::string_view::npos ? job_port : parse_port(ports.substr(0, colon));
  if (!job_port || !node_port || (protocol != "tcp" && protocol != "udp")) {
    return error(ErrorKind::corrupt, "'" + text + "' is not [NODEPORT:]PORT[/tcp|udp], like 8080:80 or 53/udp");
  }
  api::Publication publication;
  publication.set_node_port(*node_port);
  publication.set_job_port(*job_port);
  publication.set_udp(protocol == "udp");
  return publication;
}

std::string ports_of(const api::Job& job) {
  std::string text;
  for (const api::Publication& port : job.published())
    text += fmt::format("{}{}->{}/{}", text.empty() ? "" : ", ", port.node_port(), port.job_port(),
                        port.udp() ? "udp" : "tcp");
  return text;
}

}  // namespace godwit::cli
