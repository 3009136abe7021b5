// Pipes: capacity (fcntl(2), F_GETPIPE_SZ), looking at the content without taking it (tee(2)), filling. Source:
// pipe(7).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

struct PipePair {
  UniqueFd read, write;
};
Result<PipePair> make_pipe_pair();
// One that has no name, unlike a FIFO.
bool is_unnamed_pipe(const struct stat& status);
Result<uint32_t> pipe_capacity(int fd);
Result<void> set_pipe_capacity(int fd, uint32_t bytes);
struct PipeContent {
  std::string bytes;
  std::vector<uint32_t> pieces;  // as a reader with much room gets them, together all bytes: packets one by one
};
// What is in the pipe behind either end. Changes nothing. Requires: nobody reads or writes meanwhile.
Result<PipeContent> peek_pipe(int fd, uint32_t capacity);
// Puts it into the pipe behind either end, as a writer would. `packets`: each piece is one. Errors: exhausted when they
// do not fit.
Result<void> fill_pipe(int fd, const PipeContent& content, bool packets);

}  // namespace godwit::sys
