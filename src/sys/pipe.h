// Pipes: capacity (fcntl(2), F_GETPIPE_SZ), looking at the content without taking it (tee(2)), filling. Source:
// pipe(7).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

struct PipePair {
  UniqueFd read, write;
};
Result<PipePair> make_pipe_pair(bool packets);
// One that has no name, unlike a FIFO.
bool is_unnamed_pipe(const struct stat& status);
Result<uint32_t> pipe_capacity(int fd);
Result<void> set_pipe_capacity(int fd, uint32_t bytes);
// What is in the pipe behind either end. Changes nothing. Requires: nobody reads or writes meanwhile.
Result<std::string> peek_pipe(int fd, uint32_t capacity);
// Puts bytes into the pipe behind either end, as a writer would. Errors: exhausted when they do not fit.
Result<void> fill_pipe(int fd, std::span<const std::byte> bytes);

}  // namespace godwit::sys
