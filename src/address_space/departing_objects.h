// DepartingObjects: the content of memory objects (memfd, shared anonymous memory, System V segments, files on
// hugetlbfs) at the source: what the destination has of it, and what must be sent to make that complete.
//
// Passes as with DepartingMemory. Writes are found in the page tables of all processes that map an object. Where that
// is not sure to be all (the object can be written through a descriptor or be attached at any time, a process that had
// it has ended, ...) the whole object is read and compared with hashes of what was sent, and only what differs travels:
// reading is some times quicker than sending, but takes time by its size, in the freeze too. One thread only.
// Source: Linux mm/shmem.c; decision: docs/decisions/0007-memory-objects.md.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "address_space/page_hash.h"
#include "address_space/page_stream.h"
#include "address_space/range_set.h"
#include "base/result.h"
#include "godwit/image.pb.h"

namespace godwit::address_space {

class DepartingObjects {
 public:
  // `in_place`: files that the destination has, the very same: their content does not travel.
  static Result<DepartingObjects> create(std::set<uint32_t> in_place);

  bool travels(const image::SharedMemory& object) const { return !in_place_.contains(object.file()); }
  // The destination now has these objects; what it made anew is empty there. `host` also tells who has them open.
  void follow(const image::LogicalHost& host);
  // Part of an object, by offsets, may have been written since the last pass; or any part of it.
  void written(uint32_t object, sys::AddressRange offsets);
  void unsure(uint32_t object);
  void unsure_of_all();
  // The destination did not find what it was referred to for these pages: they are to be sent.
  void lacks(uint32_t object, std::span<const sys::AddressRange> offsets);

  // Sends what the destination lacks. Requires: everything that was written is told of; in the freeze: nobody runs.
  // `fd_of`: a readable descriptor of an object. When the sender is stopped what is not sent yet stays missing.
  using FdOf = std::function<Result<int>(uint32_t object)>;
  Result<void> send(bool running, PageSender& sender, const FdOf& fd_of);
  uint64_t redundant_pages() const { return redundant_pages_; }

 private:
  struct Object {
    image::SharedMemory image;
    bool open = false;               // by a descriptor
    bool was_open = false;           // when it was last looked at
    bool unsure = true;              // not all that was written since the last pass is known
    RangeSet missing;                // otherwise: what may have been
    std::vector<PageHash> contents;  // that the destination has; {} for none, kNotKnown for some
    uint64_t end() const { return contents.size() * kPageBytes; }
  };

  DepartingObjects(const PageHasher& hasher, std::set<uint32_t> in_place);
  Result<void> send_object(Object& object, int fd, PageSender& sender);
  Result<void> send_range(Object& object, int fd, sys::AddressRange range, PageSender& sender);
  Result<void> compare(Object& object, int fd, sys::AddressRange data);
  void note_hole(Object& object, uint64_t page);
  Result<void> flush(const Object& object, int fd, PageSender& sender);
  void follow_size(Object& object, const image::SharedMemory& now);

  PageHasher hasher_;
  std::set<uint32_t> in_place_;  // image.File.id
  std::map<uint32_t, Object> objects_;
  std::vector<std::pair<uint32_t, sys::AddressRange>> lost_;  // by the destination, since the last pass
  // Of the object in hand: what is not sent yet.
  std::vector<std::byte> buffer_;
  size_t kept_ = 0;  // bytes
  std::vector<sys::AddressRange> changed_;
  std::vector<sys::AddressRange> holes_;
  uint64_t redundant_pages_ = 0;
};

}  // namespace godwit::address_space
