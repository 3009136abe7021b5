#include "address_space/unplaced_pages.h"

#include <cerrno>

#include "address_space/page_stream.h"

namespace godwit::address_space {

namespace {

constexpr size_t kMostPages = size_t{64 << 20} / kPageBytes;

}  // namespace

bool UnplacedPages::are(const Error& failure) { return failure.errno_value == EIO; }

Result<void> UnplacedPages::write(const sys::MemoryFile& memory, uint64_t address, std::span<const std::byte> bytes) {
  forget({address, address + bytes.size()});
  for (; !bytes.empty(); bytes = bytes.subspan(kPageBytes), address += kPageBytes) {
    auto page = bytes.first(kPageBytes);
    auto written = memory.write(address, page);
    if (written) continue;
    if (!are(written.error())) return written;
    if (pages_.size() == kMostPages) return error(ErrorKind::exhausted, "too much memory behind the ends of files");
    pages_[address].assign(page.begin(), page.end());
  }
  return {};
}

void UnplacedPages::forget(sys::AddressRange range) {
  pages_.erase(pages_.lower_bound(range.start), pages_.lower_bound(range.end));
}

Result<void> UnplacedPages::place(const sys::MemoryFile& memory) {
  for (const auto& [address, page] : pages_) TRY(memory.write(address, page));
  pages_.clear();
  return {};
}

}  // namespace godwit::address_space
