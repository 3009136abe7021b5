// What a socket lets in: a classic filter of the program's (SO_ATTACH_FILTER), and one of ours that lets nothing in
// while the scope lasts. Source: socket(7), bpf(2), Linux net/core/filter.c.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace godwit::sys {

// The instructions as SO_GET_FILTER tells them; empty: no filter. Errors: unsupported, for one that cannot be read.
Result<std::string> read_filter(int fd);
Result<void> set_filter(int fd, const std::string& instructions);

// A filter that drops every packet, loaded once.
class DropFilter {
 public:
  static Result<DropFilter> load();
  // Replaces the filter that is there.
  Result<void> attach(int fd) const;

 private:
  explicit DropFilter(UniqueFd program) : program_(std::move(program)) {}
  UniqueFd program_;
};
// Lets nothing in, until set_filter() or remove_filter().
Result<void> let_nothing_in(int fd);
// SO_LOCK_FILTER: nobody changes it any more.
Result<bool> filter_is_locked(int fd);
Result<void> lock_filter(int fd);
// No filter at all. None there is no error.
Result<void> remove_filter(int fd);

}  // namespace godwit::sys
