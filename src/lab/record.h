// What is written down of a lab, and where everything of it lies. The record is written before anything is made and
// read by whoever comes later, after a crash too.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace godwit::lab {

struct Record {
  std::string lab;
  uint32_t number = 0;  // of the lab on this machine: addresses are 10.77.NUMBER.*
  uint32_t nodes = 0;
  std::string link;
  bool routed = false;  // each node has a subnet of its own
  std::string fault;
  bool debug = false;
  std::string programs;   // directory
  bool complete = false;  // `up` has finished
};

Result<Record> read_record(const std::string& lab);
Result<void> write_record(const Record& record);

// "node3" for 3; and 3 for "node3", 0 for anything else.
std::string node_name(uint32_t node);
uint32_t node_number(const Record& record, const std::string& name);
// All nodes' addresses are of one subnet, 10.77.NUMBER.0/24; in a routed lab each is of one with room for it and the
// router only, four addresses further than the one before.
std::string node_address(const Record& record, uint32_t node);
uint32_t subnet_bits(const Record& record);
// Of the router in the node's subnet.
std::string router_address(const Record& record, uint32_t node);

// /run/godwit-lab/LAB: the record, and a directory per node that is its /run/godwit.
std::string run_directory(const std::string& lab);
std::string node_run_directory(const std::string& lab, uint32_t node);
// /var/lib/godwit-lab/LAB: the nodes' own files, /shared, TLS material.
std::string data_directory(const std::string& lab);
std::string node_data_directory(const std::string& lab, uint32_t node);
std::string shared_directory(const std::string& lab);
std::string authority_directory(const std::string& lab);

// The root of all labs' data, hidden from the nodes.
inline constexpr const char* kDataRoot = "/var/lib/godwit-lab";

}  // namespace godwit::lab
