#include "node/publications.h"

#include <gtest/gtest.h>

namespace godwit::node {
namespace {

using Ports = google::protobuf::RepeatedPtrField<api::Publication>;

void add(Ports& ports, uint32_t node_port, uint32_t job_port, bool udp = false) {
  api::Publication& port = *ports.Add();
  port.set_node_port(node_port);
  port.set_job_port(job_port);
  port.set_udp(udp);
}

ErrorKind refusal(const Ports& ports, uint32_t uid) {
  auto checked = Publications::check(ports, uid);
  EXPECT_FALSE(checked);
  return checked ? ErrorKind::bug : checked.error().kind;
}

TEST(Publications, OnePortOfEachProtocol) {
  Ports ports;
  add(ports, 8080, 80);
  add(ports, 8080, 80, true);
  EXPECT_TRUE(Publications::check(ports, 1000));
  add(ports, 8080, 81);
  EXPECT_EQ(refusal(ports, 1000), ErrorKind::corrupt);
}

TEST(Publications, OnlyRealPorts) {
  for (uint32_t wrong : {0u, 65536u}) {
    Ports ports;
    add(ports, wrong, 80);
    EXPECT_EQ(refusal(ports, 0), ErrorKind::corrupt);
    ports.Clear();
    add(ports, 8080, wrong);
    EXPECT_EQ(refusal(ports, 0), ErrorKind::corrupt);
  }
}

TEST(Publications, PortsBelow1024AreRoots) {
  Ports ports;
  add(ports, 80, 80);
  EXPECT_TRUE(Publications::check(ports, 0));
  EXPECT_EQ(refusal(ports, 1000), ErrorKind::denied);
}

}  // namespace
}  // namespace godwit::node
