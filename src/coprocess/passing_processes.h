// PassingProcesses: whether a process may have come and gone between two looks at a job, unseen.
//
// Numbers of processes and threads are given in order, so whatever came since the last look has one of the numbers from
// the last look's next one on. Plain value. Source: Linux kernel/pid.c, alloc_pid.
#pragma once

#include <cstdint>
#include <optional>

#include "godwit/image.pb.h"

namespace godwit::coprocess {

class PassingProcesses {
 public:
  // `next_pid`: the least number that the next one can get, asked for before `now` was looked at, or while all stand
  // still. Yes when it is not known, and when the numbers have begun anew. At the first look: no.
  bool may_have_passed(std::optional<uint32_t> next_pid, const image::LogicalHost& now);

 private:
  bool looked_ = false;
  std::optional<uint32_t> next_;
};

}  // namespace godwit::coprocess
