#include "objects/familiar_descriptions.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "objects/description.h"

namespace godwit::objects {

namespace {

// Whether its record shows everything in which it may differ from what it was.
bool is_told_by_record(const image::Description& description, const OpenDescriptor& open) {
  if ((open.info.flags & (O_ASYNC | O_PATH)) != 0 || !description.locks().empty()) return false;
  switch (description.object_case()) {
    case image::Description::kRegularFile: return open.status.st_nlink == 1;
    case image::Description::kDirectory:
    case image::Description::kCharacterDevice:
    case image::Description::kEventfd: return true;
    case image::Description::kPipeEnd:
      return description.pipe_end().file() == 0 && description.pipe_end().console() == 0;
    default: return false;
  }
}

bool same(const freeze::DescriptorRecord& before, const freeze::DescriptorRecord& now) {
  return before.description == now.description && before.object == now.object && before.operations == now.operations &&
         before.inode == now.inode && before.device == now.device && before.flags == now.flags;
}

}  // namespace

void FamiliarDescriptions::learn(const freeze::DescriptorRecord& record, const OpenDescriptor& open,
                                 const image::Description& description) {
  bool of_the_same = record.inode == open.status.st_ino && record.flags == (open.info.flags & ~uint32_t{O_CLOEXEC});
  if (!of_the_same || !is_told_by_record(description, open)) return;
  learnt_.push_back(Known{record, description, open.status.st_dev});
}

void FamiliarDescriptions::forget() {
  learnt_.clear();
  known_.clear();
}

void FamiliarDescriptions::confirm(std::span<const freeze::DescriptorRecord> again) {
  for (Known& each : std::exchange(learnt_, {})) {
    auto now = std::ranges::lower_bound(again, each.record.number, {}, &freeze::DescriptorRecord::number);
    bool confirmed = now != again.end() && now->number == each.record.number && same(each.record, *now) &&
                     each.record.pipe_pages == now->pipe_pages;
    if (confirmed) known_.insert_or_assign(each.record.description, std::move(each));
  }
}

std::optional<FamiliarDescriptions::Known> FamiliarDescriptions::recall(const freeze::DescriptorRecord& now) const {
  auto found = known_.find(now.description);
  if (found == known_.end() || now.has_locks != 0 || !same(found->second.record, now)) return std::nullopt;
  Known known = found->second;
  image::Description& description = known.description;
  if (description.has_regular_file()) description.mutable_regular_file()->set_offset(now.position);
  if (description.has_directory()) description.mutable_directory()->set_offset(now.position);
  if (description.has_character_device()) description.mutable_character_device()->set_offset(now.position);
  if (description.has_eventfd()) {
    description.mutable_eventfd()->set_count(now.count);
    description.mutable_eventfd()->set_semaphore((now.count_flags & EFD_SEMAPHORE) != 0);
  }
  bool same_pipe = now.pipe_holds == 0 && now.pipe_pages == known.record.pipe_pages;
  if (description.has_pipe_end() && !same_pipe) return std::nullopt;
  return known;
}

}  // namespace godwit::objects
