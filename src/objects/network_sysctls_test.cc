#include "objects/network_sysctls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::objects {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

const SysctlValues kUntouched{{"ipv4/conf/all/forwarding", "0\n"},
                              {"ipv4/conf/default/forwarding", "0\n"},
                              {"ipv4/conf/default/rp_filter", "0\n"},
                              {"ipv4/conf/lo/forwarding", "0\n"},
                              {"ipv4/ip_forward", "0\n"},
                              {"ipv4/tcp_fin_timeout", "60\n"}};

TEST(NetworkSysctlsTest, ToldOfIsWhatDiffers) {
  EXPECT_THAT(changed_sysctls(kUntouched, kUntouched), IsEmpty());
  SysctlValues present = kUntouched;
  present["ipv4/tcp_fin_timeout"] = "30\n";
  EXPECT_THAT(changed_sysctls(present, kUntouched), ElementsAre(Pair("ipv4/tcp_fin_timeout", "30\n")));
}

TEST(NetworkSysctlsTest, NewInterfacesAreComparedWithTheValuesForSuch) {
  SysctlValues present = kUntouched;
  present["ipv4/conf/a.b/rp_filter"] = "0\n";
  EXPECT_THAT(changed_sysctls(present, kUntouched), IsEmpty());
  present["ipv4/conf/a.b/rp_filter"] = "2\n";
  EXPECT_THAT(changed_sysctls(present, kUntouched), ElementsAre(Pair("ipv4/conf/a.b/rp_filter", "2\n")));
}

TEST(NetworkSysctlsTest, WhatSetsOthersComesFirstAndTheyAreAllTold) {
  SysctlValues present = kUntouched;
  present["ipv4/conf/all/forwarding"] = present["ipv4/ip_forward"] = "1\n";
  EXPECT_THAT(changed_sysctls(present, kUntouched),
              ElementsAre(Pair("ipv4/conf/all/forwarding", "1\n"), Pair("ipv4/ip_forward", "1\n"),
                          Pair("ipv4/conf/default/forwarding", "0\n"), Pair("ipv4/conf/lo/forwarding", "0\n")));
}

TEST(NetworkSysctlsTest, NamesThatLeadElsewhereAreNone) {
  for (const char* name : {"", "../kernel/hostname", "/etc/passwd", "ipv4/../../kernel/x", "ipv4//x", "."}) {
    EXPECT_FALSE(write_network_sysctls({{name, "1"}})) << name;
  }
}

}  // namespace
}  // namespace godwit::objects
