// The head of a frame of pages, which all kinds of them share: {u32 pid, u32 count, count x {u64 start, u64 end}}. That
// of memory objects' frames names an object instead of a process, and offsets instead of addresses.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "address_space/page_owner.h"
#include "base/result.h"
#include "sys/process_memory.h"
#include "transport/connection.h"

namespace godwit::address_space {

constexpr uint64_t kPageBytes = 4096;
constexpr size_t kChunkBytes = size_t{512} << 10;  // of pages in a frame, at most
constexpr size_t kRangesPerChunk = 512;

// What says how the pages behind a head are compressed.
struct PackedHead {
  uint32_t codec;
  uint32_t zero;
};

struct PagesFrame {
  pid_t pid;
  std::vector<sys::AddressRange> ranges;
  size_t rest;  // bytes of the frame that follow

  PageOwner owner(transport::FrameType type) const;
};

// `ranges` are in order, and so is `page`.
void append_page(std::vector<sys::AddressRange>& ranges, uint64_t page);
// Whether it is a frame of a memory object's pages.
bool is_of_object(transport::FrameType type);
std::vector<std::byte> encode_head(pid_t pid, std::span<const sys::AddressRange> ranges);
// The head of a frame of `length` bytes, checked: whole pages. Errors: corrupt.
Result<PagesFrame> receive_head(transport::Connection& connection, uint32_t length);
// The bytes of a frame's pages. Errors: corrupt when they are more than kChunkBytes.
Result<size_t> bytes_of_pages(const PagesFrame& frame);

}  // namespace godwit::address_space
