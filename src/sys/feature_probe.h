// Which kernel features this node has, found by using each of them once, and what godwit loses without it.
//
// Probing changes nothing that stays: namespaces are made in a thread of their own that ends, cgroups are removed, no
// mount is made. Run it before the process has other threads that hold locks; it takes about 50 ms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace godwit::sys {

// What is lost when a feature is absent.
enum class Need {
  required,  // no job can be moved from or to this node
  optional,  // some jobs are refused, or a move is slower or less exact
};

struct Feature {
  std::string name;   // stable, snake_case
  std::string title;  // in words
  Need need = Need::optional;
  bool present = false;
  std::string detail;  // present: what was found; absent: why, in the kernel's words
  std::string lost;    // what does not work without it
};

// Every feature, in the order a user should read them. Needs root for a full answer; without it features that only root
// may use count as absent, with "Operation not permitted" as the detail.
std::vector<Feature> probe_features();

// True if every required feature is present.
bool can_move(const std::vector<Feature>& features);

}  // namespace godwit::sys
