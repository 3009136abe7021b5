#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <charconv>

#include "node/daemon.h"

namespace godwit::node {

Result<UserInfo> find_user(const std::string& user, uint32_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::string buffer(16384, '\0');
  if (!user.empty()) {
    auto [rest, failed] = std::from_chars(user.data(), user.data() + user.size(), uid);
    bool is_number = failed == std::errc() && rest == user.data() + user.size();
    if (!is_number) {
      ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
      if (found == nullptr) return error(ErrorKind::gone, "there is no user " + user + " on this node");
      uid = entry.pw_uid;
    }
  }
  if (found == nullptr) ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return UserInfo{uid, uid, std::to_string(uid), "/", {}};
  UserInfo info{entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir, {}};
  int count = 256;
  std::vector<gid_t> groups(static_cast<size_t>(count));
  if (::getgrouplist(entry.pw_name, entry.pw_gid, groups.data(), &count) < 0) count = static_cast<int>(groups.size());
  info.groups.assign(groups.begin(), groups.begin() + count);
  return info;
}

}  // namespace godwit::node
