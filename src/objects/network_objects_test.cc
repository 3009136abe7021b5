#include "objects/network_objects.h"

#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

namespace godwit::objects {
namespace {

struct Attribute {
  uint16_t type;
  std::string value;
};

template <class Header>
std::string message(const Header& header, const std::vector<Attribute>& attributes) {
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  for (const Attribute& each : attributes) {
    nlattr head{static_cast<uint16_t>(sizeof(nlattr) + each.value.size()), each.type};
    bytes.append(reinterpret_cast<const char*>(&head), sizeof head);
    bytes += each.value;
    bytes.resize((bytes.size() + 3) / 4 * 4);
  }
  return bytes;
}

template <class Value>
std::string bytes_of(Value value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

NetworkEntry told(NetworkKind kind, const std::string& bytes) {
  return entry_of(kind, std::as_bytes(std::span(bytes)));
}

ifaddrmsg address() {
  return {.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_flags = IFA_F_PERMANENT, .ifa_index = 3};
}

TEST(NetworkEntryTest, IsTheThingItselfAndNotItsState) {
  ifa_cacheinfo forever{.ifa_prefered = ~0u, .ifa_valid = ~0u, .cstamp = 7, .tstamp = 9};
  std::string bytes = message(address(), {{IFA_LOCAL, "abcd"},
                                          {IFA_FLAGS, bytes_of<uint32_t>(IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE)},
                                          {IFA_CACHEINFO, bytes_of(forever)}});
  NetworkEntry entry = told(NetworkKind::address, bytes);
  ifaddrmsg plain = address();
  plain.ifa_flags = 0;
  EXPECT_EQ(entry.entry, message(plain, {{IFA_LOCAL, "abcd"}, {IFA_FLAGS, bytes_of<uint32_t>(IFA_F_NOPREFIXROUTE)}}));
  EXPECT_EQ(entry.not_moved, "");
  EXPECT_EQ(told(NetworkKind::address, entry.entry).entry, entry.entry);
}

TEST(NetworkEntryTest, OfABridgesEntriesThoseOfItsInterfacesThemselvesComeByThemselves) {
  ndmsg listened{.ndm_family = AF_BRIDGE, .ndm_ifindex = 5, .ndm_state = NUD_PERMANENT, .ndm_flags = NTF_SELF};
  EXPECT_EQ(told(NetworkKind::bridge_entry, message(listened, {{NDA_LLADDR, "abcdef"}})).entry, "");
  ndmsg learned{.ndm_family = AF_BRIDGE, .ndm_ifindex = 5, .ndm_state = NUD_REACHABLE};
  auto master = bytes_of<uint32_t>(7);
  EXPECT_EQ(told(NetworkKind::bridge_entry, message(learned, {{NDA_LLADDR, "abcdef"}, {NDA_MASTER, master}})).entry,
            "");
}

TEST(NetworkEntryTest, AnEntryOfTheBridgeItselfIsMadeLikeOneOfAnInterface) {
  ndmsg neighbour{.ndm_family = AF_BRIDGE, .ndm_ifindex = 7, .ndm_state = NUD_PERMANENT};
  std::string port = message(neighbour, {{NDA_LLADDR, "abcdef"}, {NDA_MASTER, bytes_of<uint32_t>(9)}});
  EXPECT_EQ(told(NetworkKind::bridge_entry, port).entry, port);
  auto own = bytes_of<uint32_t>(7);
  std::string entry =
      told(NetworkKind::bridge_entry, message(neighbour, {{NDA_LLADDR, "abcdef"}, {NDA_MASTER, own}})).entry;
  neighbour.ndm_flags = NTF_SELF;
  EXPECT_EQ(entry, message(neighbour, {{NDA_LLADDR, "abcdef"}, {NDA_MASTER, own}}));
  EXPECT_EQ(told(NetworkKind::bridge_entry, entry).entry, entry);
}

TEST(NetworkEntryTest, WhatExpiresIsNotMoved) {
  ifa_cacheinfo soon{.ifa_prefered = 10, .ifa_valid = 20};
  std::string bytes = message(address(), {{IFA_LOCAL, "abcd"}, {IFA_CACHEINFO, bytes_of(soon)}});
  EXPECT_NE(told(NetworkKind::address, bytes).not_moved, "");
}

TEST(NetworkEntryTest, CachedRoutesAndForeignFamiliesAreNone) {
  rtmsg cached{.rtm_family = AF_INET6, .rtm_flags = RTM_F_CLONED};
  EXPECT_EQ(told(NetworkKind::route, message(cached, {})).entry, "");
  rtmsg other{.rtm_family = AF_UNIX};
  EXPECT_EQ(told(NetworkKind::route, message(other, {})).entry, "");
}

TEST(NetworkEntryTest, OfAnyBytesNothingBadComes) {
  std::string bytes = message(address(), {{IFA_LOCAL, "abcd"}, {IFA_LABEL, "eth0"}});
  for (size_t length = 0; length <= bytes.size(); ++length) {
    for (int value : {0, 1, 2, 0xff}) {
      std::string spoilt = bytes.substr(0, length);
      if (length > 0) spoilt.back() = static_cast<char>(value);
      for (NetworkKind kind : kNetworkKinds) (void)told(kind, spoilt);
    }
  }
}

}  // namespace
}  // namespace godwit::objects
