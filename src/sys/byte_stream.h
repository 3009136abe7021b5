// Descriptors that carry bytes between related processes: pipe2(2), memfd_create(2), and reading them to their end.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

struct PipeEnds {
  UniqueFd read;
  UniqueFd write;
};
Result<PipeEnds> make_pipe();
// A file in memory that holds `content`, at its start.
Result<UniqueFd> make_memory_file(std::string_view content);
Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode = 0);

Result<void> write_all(int fd, std::string_view bytes);
// From here to the end; at most 1 MiB, the rest is left.
Result<std::string> read_to_end(int fd);
Result<void> seek_to_start(int fd);

}  // namespace godwit::sys
