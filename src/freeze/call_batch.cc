#include "freeze/call_batch.h"

#include <algorithm>
#include <string>

namespace godwit::freeze {

size_t CallBatch::add(uint64_t number, std::array<uint64_t, 6> arguments) {
  CHECK(room() >= sizeof(Call));
  calls_.push_back(Call{number, arguments, 0, 0});
  return calls_.size() - 1;
}

size_t CallBatch::add_using(uint64_t number, std::array<uint64_t, 6> arguments, unsigned position, size_t earlier) {
  CHECK(position < 6 && earlier < calls_.size());
  size_t index = add(number, arguments);
  calls_.back().reference = uint64_t{position + 1} << 32 | earlier;
  return index;
}

RemoteAddress CallBatch::put(std::span<const std::byte> bytes) {
  RemoteAddress address = reserve(bytes.size());
  std::copy(bytes.begin(), bytes.end(), data_.end() - static_cast<ptrdiff_t>(data_.size()));
  // data_ grows at its front in the target's view; it is stored lowest address first.
  return address;
}

RemoteAddress CallBatch::reserve(size_t size) {
  size_t rounded = (size + 15) & ~size_t{15};
  CHECK(room() >= rounded);
  data_.insert(data_.begin(), rounded, std::byte{0});
  return region_ + (kRegionBytes - data_.size());
}

size_t CallBatch::room() const { return kRegionBytes - kCodeBytes - calls_.size() * sizeof(Call) - data_.size(); }

int64_t CallBatch::result(size_t index) const {
  CHECK(index < calls_.size());
  return calls_[index].result;
}

void CallBatch::read_bytes(RemoteAddress address, std::span<std::byte> into) const {
  uint64_t first = value(region_) + kRegionBytes - data_.size();
  CHECK(value(address) >= first && value(address) - first + into.size() <= data_.size());
  auto from = data_.begin() + static_cast<ptrdiff_t>(value(address) - first);
  std::copy(from, from + static_cast<ptrdiff_t>(into.size()), into.begin());
}

Result<void> CallBatch::all_succeeded(const char* what) const {
  for (size_t i = 0; i < calls_.size(); ++i) {
    int64_t result = calls_[i].result;
    if (result >= 0 || result < -4095) continue;
    return Error{ErrorKind::failed, static_cast<int>(-result), "system call " + std::to_string(calls_[i].number),
                 std::string(what) + " (call " + std::to_string(i) + " of " + std::to_string(calls_.size()) + ")"};
  }
  return {};
}

}  // namespace godwit::freeze
