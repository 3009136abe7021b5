#include "objects/credentials.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>

namespace godwit::objects {

namespace {

constexpr int kMostGroups = 65536;  // NGROUPS_MAX
constexpr int kCapabilities = 64;

std::array<uint32_t, 4> uids(const image::Credentials& c) { return {c.uid(), c.euid(), c.suid(), c.fsuid()}; }
std::array<uint32_t, 4> gids(const image::Credentials& c) { return {c.gid(), c.egid(), c.sgid(), c.fsgid()}; }

bool same_groups(const image::Credentials& a, const image::Credentials& b) {
  return std::equal(a.groups().begin(), a.groups().end(), b.groups().begin(), b.groups().end());
}

bool same_sets(const image::Credentials& a, const image::Credentials& b) {
  return a.cap_inheritable() == b.cap_inheritable() && a.cap_permitted() == b.cap_permitted() &&
         a.cap_effective() == b.cap_effective() && a.cap_ambient() == b.cap_ambient();
}

// A thread with all that its bounding set allows: plain root. On a node with fewer capabilities it is plain root again.
bool plain_root(const image::Credentials& c) { return c.cap_permitted() == c.cap_bounding(); }

Result<void> check_other_owner(const image::Credentials& wanted, const Owner& owner) {
  auto own_group = [&](uint32_t gid) {
    return gid == owner.gid || std::find(owner.groups.begin(), owner.groups.end(), gid) != owner.groups.end();
  };
  for (uint32_t uid : uids(wanted)) {
    if (uid == owner.uid) continue;
    return error(ErrorKind::denied, "a thread runs as user " + std::to_string(uid) + ", the job belongs to user " +
                                        std::to_string(owner.uid));
  }
  auto all = gids(wanted);
  std::vector<uint32_t> groups(all.begin(), all.end());
  groups.insert(groups.end(), wanted.groups().begin(), wanted.groups().end());
  for (uint32_t gid : groups) {
    if (own_group(gid)) continue;
    return error(ErrorKind::denied, "a thread is in group " + std::to_string(gid) + ", its job's owner is not");
  }
  if (wanted.cap_permitted() | wanted.cap_effective() | wanted.cap_inheritable() | wanted.cap_ambient()) {
    return error(ErrorKind::denied, "a thread has capabilities, its job's owner has none");
  }
  return {};
}

void add_identity(freeze::CallBatch& batch, const image::Credentials& wanted, const image::Credentials& current) {
  if (!same_groups(wanted, current)) {
    std::vector<uint32_t> groups(wanted.groups().begin(), wanted.groups().end());
    uint64_t at = groups.empty() ? 0 : value(batch.put(std::as_bytes(std::span(groups))));
    batch.add(SYS_setgroups, {groups.size(), at});
  }
  if (gids(wanted) != gids(current)) {
    batch.add(SYS_setresgid, {wanted.gid(), wanted.egid(), wanted.sgid()});
    batch.add(SYS_setfsgid, {wanted.fsgid()});
  }
  if (uids(wanted) != uids(current)) {
    batch.add(SYS_setresuid, {wanted.uid(), wanted.euid(), wanted.suid()});
    batch.add(SYS_setfsuid, {wanted.fsuid()});
  }
}

void add_capability_sets(freeze::CallBatch& batch, const image::Credentials& wanted, uint64_t available) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  for (unsigned half = 0; half < 2; ++half) {
    auto part = [&](uint64_t set) { return static_cast<uint32_t>((set & available) >> (32 * half)); };
    sets[half] = {part(wanted.cap_effective()), part(wanted.cap_permitted()), part(wanted.cap_inheritable())};
  }
  batch.add(SYS_capset, {value(batch.put_value(header)), value(batch.put_value(sets))});
  for (uint64_t capability = 0; capability < kCapabilities; ++capability) {
    if (!(wanted.cap_ambient() & available & (uint64_t{1} << capability))) continue;
    batch.add(SYS_prctl, {PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0});
  }
}

}  // namespace

image::Credentials credentials_of(const proc::Status& status) {
  image::Credentials credentials;
  credentials.set_uid(status.uids[0]);
  credentials.set_euid(status.uids[1]);
  credentials.set_suid(status.uids[2]);
  credentials.set_fsuid(status.uids[3]);
  credentials.set_gid(status.gids[0]);
  credentials.set_egid(status.gids[1]);
  credentials.set_sgid(status.gids[2]);
  credentials.set_fsgid(status.gids[3]);
  credentials.mutable_groups()->Add(status.groups.begin(), status.groups.end());
  credentials.set_cap_inheritable(status.cap_inheritable);
  credentials.set_cap_permitted(status.cap_permitted);
  credentials.set_cap_effective(status.cap_effective);
  credentials.set_cap_bounding(status.cap_bounding);
  credentials.set_cap_ambient(status.cap_ambient);
  credentials.set_no_new_privs(status.no_new_privs);
  return credentials;
}

Result<void> check_credentials(const image::Credentials& wanted, const Owner& owner,
                               const image::Credentials& available) {
  if (wanted.groups_size() > kMostGroups) return error(ErrorKind::corrupt, "number of groups");
  bool consistent = (wanted.cap_effective() & ~wanted.cap_permitted()) == 0 &&
                    (wanted.cap_ambient() & ~(wanted.cap_permitted() & wanted.cap_inheritable())) == 0;
  if (!consistent) return error(ErrorKind::corrupt, "capability sets contradict each other");
  if (owner.uid != 0) return check_other_owner(wanted, owner);
  uint64_t missing = (wanted.cap_permitted() | wanted.cap_inheritable()) & ~available.cap_bounding();
  if (missing != 0 && !plain_root(wanted)) {
    return error(ErrorKind::unsupported, "this node lacks capability " + std::to_string(__builtin_ctzll(missing)));
  }
  return {};
}

Result<void> add_credentials(freeze::CallBatch& batch, const image::Credentials& wanted,
                             const image::Credentials& current) {
  constexpr size_t kMostBytes = 64 * 1024;  // all calls below but for the list of groups
  if (wanted.groups_size() > kMostGroups) return error(ErrorKind::corrupt, "number of groups");
  size_t bytes = kMostBytes + static_cast<size_t>(wanted.groups_size()) * sizeof(uint32_t);
  uint64_t bounding = wanted.cap_bounding() & current.cap_bounding();
  bool identity = uids(wanted) != uids(current) || gids(wanted) != gids(current) || !same_groups(wanted, current);
  bool capabilities =
      !same_sets(wanted, current) || wanted.securebits() != current.securebits() || bounding != current.cap_bounding();
  if (identity || capabilities) {
    if (batch.room() < bytes) return error(ErrorKind::exhausted, "credentials");
    // While this stands, changing ids does not change capabilities.
    batch.add(SYS_prctl, {PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS, 0, 0, 0});
    add_identity(batch, wanted, current);
    for (uint64_t capability = 0; capability < kCapabilities; ++capability) {
      if (!(current.cap_bounding() & ~bounding & (uint64_t{1} << capability))) continue;
      batch.add(SYS_prctl, {PR_CAPBSET_DROP, capability, 0, 0, 0});
    }
    batch.add(SYS_prctl, {PR_SET_SECUREBITS, wanted.securebits(), 0, 0, 0});
    add_capability_sets(batch, wanted, current.cap_permitted());
  }
  if (wanted.no_new_privs() && !current.no_new_privs()) batch.add(SYS_prctl, {PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0});
  return {};
}

}  // namespace godwit::objects
