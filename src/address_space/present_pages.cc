#include "address_space/present_pages.h"

#include <algorithm>

#include "address_space/page_shortcuts.h"

namespace godwit::address_space {

Result<void> PresentPages::receive(transport::FrameType type, transport::Connection& connection, PagesFrame& frame,
                                   std::span<std::byte> into, const Settle& settle) {
  PageOwner owner = frame.owner(type);
  return is_of_known(type) ? receive_known(owner, connection, frame, into, settle)
                           : receive_differences(owner, connection, frame, into, settle);
}

bool PresentPages::find(const PageReference& reference, std::span<std::byte> page) const {
  if (reference.is_cached()) return cache_ && cache_->read(reference.at, page) && reference.matches(page);
  bool known = reference.owner.kind == PageOwner::Kind::process || reference.owner.is_object();
  return known && read_(reference.owner, reference.at, page) && reference.matches(page);
}

Result<void> PresentPages::receive_known(PageOwner owner, transport::Connection& connection, PagesFrame& frame,
                                         std::span<std::byte> into, const Settle& settle) {
  std::vector<PageReference> references(into.size() / kPageBytes);
  if (std::as_bytes(std::span(references)).size() != frame.rest) {
    return error(ErrorKind::corrupt, "a frame of known pages has a wrong length");
  }
  TRY(connection.receive_bytes(std::as_writable_bytes(std::span(references))));
  if (!std::ranges::all_of(references, &PageReference::is_cached)) TRY(settle());
  std::vector<sys::AddressRange> found;
  auto reference = references.begin();
  size_t to = 0;
  for (const sys::AddressRange& range : frame.ranges) {
    for (uint64_t page = range.start; page < range.end; page += kPageBytes, ++reference) {
      if (find(*reference, into.subspan(to, kPageBytes))) {
        append_page(found, page);
        to += kPageBytes;
      } else {
        append_page(lacking_[owner], page);
      }
    }
  }
  frame.ranges = std::move(found);
  return {};
}

Result<void> PresentPages::receive_differences(PageOwner owner, transport::Connection& connection,
                                               const PagesFrame& frame, std::span<std::byte> into,
                                               const Settle& settle) {
  struct [[gnu::packed]] {
    PackedHead how;
    uint64_t check;
  } head;
  if (frame.rest < sizeof head || frame.rest - sizeof head > kChunkBytes) {
    return error(ErrorKind::corrupt, "a frame of differences has a wrong length");
  }
  TRY(connection.receive_bytes(std::as_writable_bytes(std::span(&head, 1))));
  packed_.resize(kChunkBytes);
  differences_.resize(kChunkBytes);
  std::span<std::byte> packed = std::span(packed_).first(frame.rest - sizeof head);
  std::span<std::byte> differences = std::span(differences_).first(into.size());
  TRY(connection.receive_bytes(packed));
  auto codec = static_cast<transport::Codec>(head.how.codec);
  if (codec == transport::Codec::none) {
    if (packed.size() != differences.size()) return error(ErrorKind::corrupt, "differences of a wrong length");
    std::ranges::copy(packed, differences.begin());
  } else {
    TRY(compressor_.decompress(codec, packed, differences));
  }
  TRY(settle());
  uint64_t check = 0;
  size_t at = 0;
  for (const sys::AddressRange& range : frame.ranges) {
    TRY(read_(owner, range.start, into.subspan(at, range.size())));
    exclusive_or(into.subspan(at, range.size()), differences.subspan(at, range.size()));
    for (size_t end = at + range.size(); at < end; at += kPageBytes) {
      check = add_to_check(check, into.subspan(at, kPageBytes));
    }
  }
  if (check != head.check) return error(ErrorKind::corrupt, "pages here are not what their differences were made from");
  return {};
}

Result<void> PresentPages::tell_lacking(transport::Connection& connection) {
  for (const auto& [owner, ranges] : lacking_) {
    auto type = owner.is_object() ? transport::FrameType::shared_memory_known : transport::FrameType::known_pages;
    std::span<const sys::AddressRange> rest(ranges);
    while (!rest.empty()) {
      auto part = rest.first(std::min(rest.size(), kRangesPerChunk));
      TRY(connection.send(type, encode_head(owner.number(), part)));
      rest = rest.subspan(part.size());
    }
  }
  lacking_.clear();
  return {};
}

}  // namespace godwit::address_space
