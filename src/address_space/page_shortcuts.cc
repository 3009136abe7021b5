#include "address_space/page_shortcuts.h"

#include <algorithm>
#include <utility>

#include "sys/hash.h"

namespace godwit::address_space {

using transport::FrameType;

namespace {

constexpr double kSlowPageSeconds = 10e-6;   // 400 MB/s: making and undoing a difference takes a fifth of that
constexpr size_t kMostDifferentWords = 256;  // of a page's 512
constexpr uint64_t kMostLacking = 16;        // one reference in so many may be wrong

}  // namespace

uint64_t add_to_check(uint64_t check, std::span<const std::byte> page) {
  return (check ^ sys::quick_hash(page)) * 0x9e3779b97f4a7c15;
}

Result<std::unique_ptr<PageShortcuts>> PageShortcuts::create() {
  return std::unique_ptr<PageShortcuts>(new PageShortcuts(TRY(KnownContent::create())));
}

bool PageShortcuts::take(const Page& page, bool running, double link_seconds) {
  bool slow = link_seconds > kSlowPageSeconds;
  if (slow && take_difference(page, running)) return true;
  recent_.forget(page.place.owner, {page.place.at, page.place.at + kPageBytes});
  if (running && trusted_ && take_reference(page, link_seconds)) return true;
  bool again = running && !first_round_ && page.stays;
  if (again && slow) recent_.keep(page.place.owner, page.place.at, page.content);
  return false;
}

bool PageShortcuts::take_difference(const Page& page, bool running) {
  std::span<const std::byte> there = recent_.find(page.place.owner, page.place.at);
  if (there.empty()) return false;
  size_t before = differences_.size();
  differences_.insert(differences_.end(), page.content.begin(), page.content.end());
  if (exclusive_or(std::span(differences_).subspan(before), there) > kMostDifferentWords) {
    differences_.resize(before);
    return false;
  }
  append_page(differing_, page.place.at);
  check_ = add_to_check(check_, page.content);
  if (running) {
    recent_.keep(page.place.owner, page.place.at, page.content);
  } else {
    recent_.forget(page.place.owner, {page.place.at, page.place.at + kPageBytes});
  }
  return true;
}

bool PageShortcuts::take_reference(const Page& page, double link_seconds) {
  auto reference = known_.find(page.place, page.content, link_seconds);
  if (!reference) return false;
  (reference->is_cached() ? counts_.cached : counts_.identical) += 1;
  append_page(referring_, page.place.at);
  references_.push_back(*reference);
  return true;
}

bool PageShortcuts::refers_to_memory() const { return !std::ranges::all_of(references_, &PageReference::is_cached); }

Result<uint64_t> PageShortcuts::send_gathered(PageOwner owner, transport::Connection& connection) {
  bool of_object = owner.is_object();
  if (!references_.empty()) {
    std::vector<std::byte> head = encode_head(owner.number(), std::exchange(referring_, {}));
    auto type = of_object ? FrameType::shared_memory_known : FrameType::known_pages;
    TRY(connection.send(type, head, std::as_bytes(std::span(references_))));
    references_.clear();
  }
  if (differences_.empty()) return uint64_t{0};
  packed_.resize(kChunkBytes);
  size_t packed =
      compressor_.compress(transport::Codec::lz4, differences_, std::span(packed_).first(differences_.size() - 1));
  PackedHead how{static_cast<uint32_t>(packed > 0 ? transport::Codec::lz4 : transport::Codec::none), 0};
  std::span<const std::byte> body = packed > 0 ? std::span(packed_).first(packed) : std::span(differences_);
  std::vector<std::byte> head = encode_head(owner.number(), std::exchange(differing_, {}));
  auto append = [&](const auto& value) {
    std::ranges::copy(std::as_bytes(std::span(&value, 1)), std::back_inserter(head));
  };
  append(how);
  append(std::exchange(check_, 0));
  TRY(connection.send(of_object ? FrameType::shared_memory_delta : FrameType::delta_pages, head, body));
  uint64_t pages = differences_.size() / kPageBytes;
  counts_.by_delta += pages;
  counts_.delta_bytes += body.size();
  differences_.clear();
  return pages;
}

void PageShortcuts::next_round() {
  first_round_ = false;
  recent_.next_round();
}

void PageShortcuts::found_lacking(uint64_t pages) {
  if (pages * kMostLacking > references()) trusted_ = false;
}

}  // namespace godwit::address_space
