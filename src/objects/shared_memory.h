// Memory objects: memfd, MAP_SHARED|MAP_ANONYMOUS, System V segments, and the content of files on hugetlbfs (whose
// names and rights are a matter of src/files), mapped or open in any process.
//
// The table at the source keeps a descriptor of each for its content; the set at the destination makes them empty, and
// keeps those that fit when it is adapted again. Content travels with the pages. Source: memfd_create(2), shmget(2),
// /proc/PID/map_files in proc(5), Linux mm/shmem.c, fs/hugetlbfs/inode.c.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "files/opener.h"
#include "godwit/image.pb.h"

namespace godwit::objects {

class SharedMemoryTable {
 public:
  // The object mapped at [start, end); `link`: the name that /proc/PID/maps shows.
  Result<uint32_t> add_mapping(pid_t host_pid, uint64_t start, uint64_t end, std::string_view link);
  // The object behind an open descriptor.
  Result<uint32_t> add_memfd(int fd, std::string_view link);
  // A file on hugetlbfs; `fd`: any descriptor of it.
  Result<uint32_t> add_pool_file(int fd, const image::File& file);
  // Readable; belongs to the table.
  Result<int> fd_of(uint32_t id) const;
  // Of huge pages from the kernel's pool; 0: it lies in ordinary ones. Requires: known.
  uint64_t page_bytes_of(uint32_t id) const;
  // That all objects together take now.
  uint64_t bytes() const;
  // All objects, sizes as they are now.
  void fill(image::LogicalHost& host) const;

 private:
  Result<uint32_t> add(UniqueFd fd, std::string_view link, uint32_t file = 0);
  struct Object {
    image::SharedMemory image;
    UniqueFd fd;
  };
  std::map<std::pair<uint64_t, uint64_t>, uint32_t> by_inode_;
  std::map<uint32_t, Object> objects_;
};

// Whether one can stand for the other, but for its size.
bool same_kind(const image::SharedMemory& one, const image::SharedMemory& other);

class SharedMemorySet {
 public:
  // `opener`: of files on hugetlbfs; must outlive this.
  explicit SharedMemorySet(files::Opener& opener) : opener_(opener) {}
  // Makes what is missing, drops what is no longer there, corrects sizes.
  Result<void> adapt(const image::LogicalHost& host);
  Result<int> fd_of(uint32_t id) const;
  // Whether it is the very file that the source has, and nothing is to be written to it.
  bool is_in_place(uint32_t id) const;
  // What is to be opened for each mapping anew, as it was; nothing: fd_of() serves all.
  std::optional<uint32_t> file_of(uint32_t id) const;
  // Seals, after the content is there.
  Result<void> seal(const image::LogicalHost& host) const;

 private:
  Result<void> adapt_pool_file(const image::SharedMemory& image);

  files::Opener& opener_;
  std::map<uint32_t, UniqueFd> objects_;
  std::map<uint32_t, image::SharedMemory> images_;
};

}  // namespace godwit::objects
