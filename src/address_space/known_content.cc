#include "address_space/known_content.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "sys/file.h"
#include "sys/process_memory.h"

namespace godwit::address_space {

namespace {

constexpr size_t kSlots = size_t{1} << 17;  // of pages sent: 6 MiB
constexpr uint64_t kLookUpEvery = 16;       // pages, where the cache is of little use
constexpr uint32_t kFewCached = 16;         // one in so many
constexpr uint32_t kFewIdentical = 32;
constexpr uint64_t kSampleEvery = 4096, kSampleRun = 256;  // neighbours

uint64_t beginning_of(const sys::Sha256& digest) {
  uint64_t beginning;
  std::memcpy(&beginning, digest.data(), sizeof beginning);
  return beginning;
}

bool read(const KnownContent::Place& place, std::span<std::byte> into) {
  auto read = place.owner.is_object() ? sys::read_at(place.here, place.at, into)
                                      : sys::read_memory_at(place.here, place.at, into);
  return read.has_value();
}

// The same for the same content; true for about one content in eight.
bool is_sample(KnownContent::Page page) {
  constexpr size_t kStep = 512 + 8;
  uint64_t mixed = 0;
  for (size_t at = 0; at + sizeof mixed <= page.size(); at += kStep) {
    uint64_t word;
    std::memcpy(&word, &page[at], sizeof word);
    mixed = (mixed ^ word) * 0x9e3779b97f4a7c15;
  }
  return mixed >> 61 == 0;
}

}  // namespace

Result<KnownContent> KnownContent::create() { return KnownContent(TRY(PageHasher::with_random_key())); }

void KnownContent::Share::add(bool success) {
  ++looked;
  found += success ? 1 : 0;
  if (looked < 2 * kEnough) return;
  looked /= 2;
  found /= 2;
}

void KnownContent::set_cached(std::vector<uint64_t> beginnings) {
  beginnings_ = std::move(beginnings);
  cached_.reserve(beginnings_.size());
  for (uint64_t beginning : beginnings_) cached_.push_back({beginning, static_cast<uint32_t>(cached_.size())});
  std::ranges::sort(cached_, {}, &Cached::beginning);
}

std::optional<PageReference> KnownContent::find(const Place& place, Page page, double link_seconds) {
  ++pages_;
  if (worth_looking_up()) {
    if (auto reference = find_cached(page)) return reference;
  }
  return worth_hashing(page, link_seconds) ? find_identical(place, page) : std::nullopt;
}

bool KnownContent::worth_looking_up() {
  if (cached_.empty()) return false;
  return !share_cached_.below(kFewCached) || pages_ % kLookUpEvery == 0;
}

sys::Sha256 KnownContent::digest_of(Page page) {
  auto begin = std::chrono::steady_clock::now();
  sys::Sha256 digest = sys::sha256_digest(page);
  double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  digest_seconds_ = std::min(digest_seconds_, took);  // what came between is none of the hash's
  return digest;
}

// Pages mostly come in the order in which they were left.
std::optional<PageReference> KnownContent::find_cached(Page page) {
  sys::Sha256 digest = digest_of(page);
  uint64_t beginning = beginning_of(digest);
  std::optional<uint32_t> number;
  if (next_ < beginnings_.size() && beginnings_[next_] == beginning) {
    number = next_;
  } else {
    auto found = std::ranges::lower_bound(cached_, beginning, {}, &Cached::beginning);
    if (found != cached_.end() && found->beginning == beginning) number = found->number;
  }
  share_cached_.add(number.has_value());
  if (!number) return std::nullopt;
  next_ = *number + 1;
  return PageReference{.at = *number, .digest = digest};
}

bool KnownContent::worth_hashing(Page page, double link_seconds) {
  if (link_seconds <= digest_seconds_) return false;
  return !share_identical_.below(kFewIdentical) || pages_ % kSampleEvery < kSampleRun || is_sample(page);
}

// The source has both at hand, and sees whether the other one was written to since.
std::optional<PageReference> KnownContent::find_identical(const Place& place, Page page) {
  if (sent_.empty()) sent_.resize(kSlots);
  PageHash hash = hasher_(page);
  Sent& sent = sent_[hash.low % kSlots];
  std::array<std::byte, PageHasher::kPageBytes> other;
  bool same = sent.hash == hash && read(sent.place, other) && std::ranges::equal(other, page);
  share_identical_.add(same);
  if (!same) {
    sent = {hash, place};
    return std::nullopt;
  }
  return PageReference{.at = sent.place.at, .owner = sent.place.owner, .digest = digest_of(page)};
}

}  // namespace godwit::address_space
