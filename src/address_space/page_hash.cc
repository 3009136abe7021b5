#include "address_space/page_hash.h"

#include <cstring>

#include "sys/random.h"

namespace godwit::address_space {

Result<PageHasher> PageHasher::with_random_key() {
  Key key;
  TRY(sys::fill_randomly(std::as_writable_bytes(std::span(key))));
  return PageHasher(key);
}

PageHash PageHasher::operator()(std::span<const std::byte, kPageBytes> page) const {
  __extension__ using Wide = unsigned __int128;
  Wide sum = 0;
  for (size_t i = 0; i < key_.size(); i += 2) {
    uint64_t pair[2];
    std::memcpy(pair, &page[i * 8], sizeof pair);
    sum += static_cast<Wide>(pair[0] + key_[i]) * (pair[1] + key_[i + 1]);
  }
  PageHash hash{static_cast<uint64_t>(sum), static_cast<uint64_t>(sum >> 64)};
  if (hash == PageHash{}) hash.low = 1;
  return hash;
}

}  // namespace godwit::address_space
