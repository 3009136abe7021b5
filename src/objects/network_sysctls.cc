#include "objects/network_sysctls.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "sys/network_visit.h"
#include "sys/own_thread.h"
#include "sys/text_file.h"

namespace godwit::objects {

namespace {

namespace fs = std::filesystem;

const std::string kRoot = "/proc/sys/net/";
constexpr size_t kMostValues = 1 << 16, kMostBytes = 64 << 10;

// Settings of interfaces: ipv4/conf/INTERFACE/KEY, the same with neigh and ipv6.
struct PerInterface {
  std::string group, interface, key;
};
std::optional<PerInterface> per_interface(const std::string& path) {
  for (const char* group : {"ipv4/conf/", "ipv6/conf/", "ipv4/neigh/", "ipv6/neigh/"}) {
    if (!path.starts_with(group)) continue;
    size_t begin = std::string_view(group).size(), slash = path.find('/', begin);
    if (slash == std::string::npos) return std::nullopt;
    return PerInterface{group, path.substr(begin, slash - begin), path.substr(slash + 1)};
  }
  return std::nullopt;
}

// Those that set others come first.
int rank_of(const std::string& path) {
  auto each = per_interface(path);
  if (path == "ipv4/ip_forward" || path.ends_with("conf/all/forwarding")) return 0;
  if (each && each->interface == "all") return 1;
  if (each && each->interface == "default") return 2;
  return 3;
}

bool well_formed(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string::npos) return false;
  for (const fs::path& part : fs::path(path)) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

}  // namespace

Result<SysctlValues> list_network_sysctls() {
  SysctlValues values;
  std::error_code failed;
  fs::recursive_directory_iterator at(kRoot, failed), end;
  for (; !failed && at != end; at.increment(failed)) {
    std::error_code gone;
    fs::file_status status = at->symlink_status(gone);
    constexpr fs::perms kReadAndWrite = fs::perms::owner_read | fs::perms::owner_write;
    if (gone || !fs::is_regular_file(status) || (status.permissions() & kReadAndWrite) != kReadAndWrite) continue;
    auto value = sys::read_text(at->path().string());
    if (value) values[at->path().string().substr(kRoot.size())] = std::move(*value);  // others have no value yet
  }
  if (failed) return error(ErrorKind::retry, kRoot + ": " + failed.message());
  return values;
}

Result<SysctlLook> SysctlLook::begin(std::optional<int> pidfd) {
  auto promise = std::make_shared<std::promise<Result<SysctlValues>>>();
  auto found = promise->get_future();
  std::thread thread = TRY(sys::start_own_thread([promise, pidfd] {
    SysctlValues values;
    auto list = [&]() -> Result<void> {
      values = TRY(list_network_sysctls());
      return {};
    };
    auto listed = pidfd ? sys::in_network_of(*pidfd, list) : sys::in_new_network(list);
    promise->set_value(listed ? Result<SysctlValues>(std::move(values)) : std::unexpected(std::move(listed.error())));
  }));
  return SysctlLook(std::move(found), std::move(thread));
}

SysctlLook::~SysctlLook() {
  if (thread_.joinable()) thread_.join();
}

Result<SysctlValues> SysctlLook::values() { return found_.get(); }

SysctlChanges changed_sysctls(const SysctlValues& present, const SysctlValues& untouched) {
  std::set<std::string> for_all;  // groups and keys of which the setting for all is another one: each is told of
  auto differs = [&](const std::string& path, const std::string& value) {
    auto before = untouched.find(path);
    if (before != untouched.end()) return before->second != value;
    auto each = per_interface(path);
    if (each) before = untouched.find(each->group + "default/" + each->key);
    return before == untouched.end() || before->second != value;
  };
  for (const auto& [path, value] : present) {
    auto each = per_interface(path);
    if (each && each->interface == "all" && differs(path, value)) for_all.insert(each->group + each->key);
  }
  SysctlChanges changed;
  for (const auto& [path, value] : present) {
    auto each = per_interface(path);
    if (differs(path, value) || (each && for_all.contains(each->group + each->key))) changed.emplace_back(path, value);
  }
  std::ranges::sort(changed, {}, [](const auto& entry) { return std::pair(rank_of(entry.first), entry.first); });
  return changed;
}

Result<SysctlChanges> write_network_sysctls(const SysctlChanges& values) {
  SysctlChanges before;
  if (values.size() > kMostValues) return error(ErrorKind::corrupt, "too many network settings");
  for (const auto& [path, value] : values) {
    if (!well_formed(path) || value.size() > kMostBytes)
      return error(ErrorKind::corrupt, "no network setting: " + path);
    auto present = sys::read_text(kRoot + path);
    if (present && *present == value) continue;
    if (present) before.emplace_back(path, *present);
    TRY(sys::write_text(kRoot + path, value).within("the job's network setting " + path));
  }
  return before;
}

}  // namespace godwit::objects
