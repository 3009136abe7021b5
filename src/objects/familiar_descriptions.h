// FamiliarDescriptions: what a look while the program ran told of open file descriptions, so that in the freeze the
// kernel's record is enough: of files, directories, empty unnamed pipes and event counters.
//
// The same description is known by the same address of file and of what it is open on, the same inode, flags and kind:
// addresses are used again, but not all of these together for what would be captured as anything else. Names of files
// change and are no part of it: see FileTable::knows_name().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "freeze/kernel_tasks.h"
#include "godwit/image.pb.h"

namespace godwit::objects {

struct OpenDescriptor;

class FamiliarDescriptions {
 public:
  void forget();
  // `record`: of before the look at `open`, which `description` was captured from. It counts when a record from after
  // it is the same.
  void learn(const freeze::DescriptorRecord& record, const OpenDescriptor& open, const image::Description& description);
  void confirm(std::span<const freeze::DescriptorRecord> again);
  struct Known {
    freeze::DescriptorRecord record;
    image::Description description;
    dev_t device;
  };
  // As it is now, without its number in the image; nothing: it has to be looked at.
  std::optional<Known> recall(const freeze::DescriptorRecord& now) const;

 private:
  std::vector<Known> learnt_;                  // of one process
  std::unordered_map<uint64_t, Known> known_;  // by the address of the description
};

}  // namespace godwit::objects
