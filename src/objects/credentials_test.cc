#include "objects/credentials.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace godwit::objects {
namespace {

image::Credentials ids(uint32_t uid, uint32_t gid, std::vector<uint32_t> groups = {}) {
  proc::Status status;
  status.uids = {uid, uid, uid, uid};
  status.gids = {gid, gid, gid, gid};
  status.groups = std::move(groups);
  status.cap_bounding = 0xff;
  return credentials_of(status);
}

image::Credentials root() {
  image::Credentials credentials = ids(0, 0);
  credentials.set_cap_permitted(0xff);
  credentials.set_cap_effective(0xff);
  return credentials;
}

const Owner kUser{1000, 100, {4, 24}};
const Owner kRoot{0, 0, {}};

TEST(CheckCredentials, AUserMayBeHimself) {
  EXPECT_TRUE(check_credentials(ids(1000, 100), kUser, root()));
  EXPECT_TRUE(check_credentials(ids(1000, 24, {4, 24, 100}), kUser, root()));
}

TEST(CheckCredentials, AUserMayBeNobodyElse) {
  auto kind = [](image::Credentials wanted) {
    auto checked = check_credentials(wanted, kUser, root());
    return checked ? ErrorKind::bug : checked.error().kind;
  };
  EXPECT_EQ(kind(root()), ErrorKind::denied);
  EXPECT_EQ(kind(ids(1001, 100)), ErrorKind::denied);
  EXPECT_EQ(kind(ids(1000, 0)), ErrorKind::denied);
  EXPECT_EQ(kind(ids(1000, 100, {0})), ErrorKind::denied);
  for (int place = 0; place < 4; ++place) {
    image::Credentials one = ids(1000, 100);
    if (place == 0) one.set_suid(0);
    if (place == 1) one.set_fsuid(0);
    if (place == 2) one.set_sgid(0);
    if (place == 3) one.set_cap_inheritable(1);
    EXPECT_EQ(kind(one), ErrorKind::denied) << place;
  }
  image::Credentials capable = ids(1000, 100);
  capable.set_cap_permitted(1);
  EXPECT_EQ(kind(capable), ErrorKind::denied);
}

TEST(CheckCredentials, RootMayHaveWhatThisNodeHas) {
  EXPECT_TRUE(check_credentials(root(), kRoot, root()));
  EXPECT_TRUE(check_credentials(ids(33, 33, {33}), kRoot, root()));
  image::Credentials more = root();
  more.set_cap_permitted(0x1ff);
  more.set_cap_bounding(0x3ff);
  EXPECT_EQ(check_credentials(more, kRoot, root()).error().kind, ErrorKind::unsupported);
  more.set_cap_bounding(0x1ff);  // plain root elsewhere is plain root here
  EXPECT_TRUE(check_credentials(more, kRoot, root()));
}

TEST(CheckCredentials, ContradictionsAreCorrupt) {
  image::Credentials wrong = ids(0, 0);
  wrong.set_cap_effective(1);
  EXPECT_EQ(check_credentials(wrong, kRoot, root()).error().kind, ErrorKind::corrupt);
  wrong = root();
  wrong.set_cap_ambient(1);
  EXPECT_EQ(check_credentials(wrong, kRoot, root()).error().kind, ErrorKind::corrupt);
}

TEST(AddCredentials, NothingToDoIsNothingDone) {
  freeze::CallBatch batch(freeze::RemoteAddress{0x10000});
  ASSERT_TRUE(add_credentials(batch, root(), root()));
  EXPECT_TRUE(batch.empty());
}

TEST(AddCredentials, ASetOfGroupsThatDoesNotFitIsRefused) {
  freeze::CallBatch batch(freeze::RemoteAddress{0x10000});
  image::Credentials many = ids(1000, 100, std::vector<uint32_t>(60'000, 100));
  EXPECT_EQ(add_credentials(batch, many, root()).error().kind, ErrorKind::exhausted);
}

}  // namespace
}  // namespace godwit::objects
