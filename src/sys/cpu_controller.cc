#include "sys/cpu_controller.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "sys/cgroup_mount.h"
#include "sys/text_file.h"

namespace godwit::sys {

namespace {

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream{std::string(text)};
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  return parts;
}

bool has_word(std::string_view text, char separator, std::string_view word) {
  return std::ranges::any_of(split(text, separator), [&](const std::string& part) { return part == word; });
}

// ID:CONTROLLERS:PATH of each hierarchy; cgroups(7).
Result<std::string> own_path(std::string_view own_cgroups) {
  for (const std::string& line : split(own_cgroups, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() >= 3 && has_word(fields[1], ',', "cpu"))
      return line.substr(line.find(':', line.find(':') + 1) + 1);
  }
  return error(ErrorKind::unsupported, "this process is in no cpu cgroup");
}

}  // namespace

Result<CpuController> find_cpu_controller(std::string_view mountinfo, std::string_view own_cgroups,
                                          std::string_view of_version2) {
  std::string version2;
  for (const std::string& line : split(mountinfo, '\n')) {
    size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    auto fields = split(line, ' ');
    auto behind = split(std::string_view(line).substr(dash + 3), ' ');  // type, source, options of the file system
    if (fields.size() < 5 || behind.size() < 3) continue;
    if (behind[0] == "cgroup2") version2 = fields[4];
    if (behind[0] != "cgroup" || !has_word(behind[2], ',', "cpu")) continue;
    std::string path = TRY(own_path(own_cgroups));
    const std::string& root = fields[3];
    if (root != "/" && path.starts_with(root)) path.erase(0, root.size());
    return CpuController{.version = 1, .mount = fields[4], .directory = fields[4] + (path == "/" ? "" : path)};
  }
  std::string controllers(of_version2.substr(0, of_version2.find('\n')));
  if (!version2.empty() && has_word(controllers, ' ', "cpu")) {
    return CpuController{.version = 2, .mount = version2, .directory = {}};
  }
  return error(ErrorKind::unsupported, "no cgroup hierarchy has the cpu controller");
}

Result<CpuController> find_cpu_controller() {
  auto mount = cgroup2_mount();
  auto of_version2 = mount ? read_text(*mount + "/cgroup.controllers") : std::string();
  return find_cpu_controller(TRY(read_text("/proc/self/mountinfo")), TRY(read_text("/proc/self/cgroup")),
                             of_version2.value_or(""));
}

}  // namespace godwit::sys
