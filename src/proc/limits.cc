#include "proc/limits.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace godwit::proc {

namespace {

struct Name {
  std::string_view text;
  uint32_t resource;
};

constexpr std::array<Name, 16> kNames{{
    {"Max cpu time", RLIMIT_CPU},
    {"Max file size", RLIMIT_FSIZE},
    {"Max data size", RLIMIT_DATA},
    {"Max stack size", RLIMIT_STACK},
    {"Max core file size", RLIMIT_CORE},
    {"Max resident set", RLIMIT_RSS},
    {"Max processes", RLIMIT_NPROC},
    {"Max open files", RLIMIT_NOFILE},
    {"Max locked memory", RLIMIT_MEMLOCK},
    {"Max address space", RLIMIT_AS},
    {"Max file locks", RLIMIT_LOCKS},
    {"Max pending signals", RLIMIT_SIGPENDING},
    {"Max msgqueue size", RLIMIT_MSGQUEUE},
    {"Max nice priority", RLIMIT_NICE},
    {"Max realtime priority", RLIMIT_RTPRIO},
    {"Max realtime timeout", RLIMIT_RTTIME},
}};

Result<uint64_t> take_value(std::string_view& line) {
  size_t begin = line.find_first_not_of(' ');
  if (begin == std::string_view::npos) return error(ErrorKind::corrupt, "limits line ends early");
  line.remove_prefix(begin);
  std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  if (word == "unlimited") return kUnlimited;
  uint64_t value = 0;
  auto [rest, failed] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (failed != std::errc() || rest != word.data() + word.size()) return error(ErrorKind::corrupt, "limits value");
  return value;
}

}  // namespace

Result<std::vector<Limit>> parse_limits(std::string_view text) {
  std::vector<Limit> limits;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    for (const Name& name : kNames) {
      if (!line.starts_with(name.text)) continue;
      line.remove_prefix(name.text.size());
      Limit limit{name.resource, 0, 0};
      limit.soft = TRY(take_value(line));
      limit.hard = TRY(take_value(line));
      limits.push_back(limit);
      break;
    }
  }
  if (limits.size() != kNames.size()) return error(ErrorKind::corrupt, "limits file lacks a resource");
  std::sort(limits.begin(), limits.end(), [](const Limit& a, const Limit& b) { return a.resource < b.resource; });
  return limits;
}

}  // namespace godwit::proc
