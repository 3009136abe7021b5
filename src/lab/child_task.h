// Work done in a child process, because it enters namespaces or a cgroup that the caller is to stay out of.
// A task returns values and errors as if it had been called here. The caller must have one thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace godwit::lab {

// Runs `task` in a child, waits for its end and returns what it returned.
Result<std::string> run_in_child(const std::function<Result<std::string>()>& task);

// Runs `task`, which ends by becoming another program, in a child. Returns as soon as it has, or with why it could not;
// then the child is gone.
Result<pid_t> start_in_child(const std::function<Error()>& task);

// Runs a program to its end with `input` as its standard input; `before` is called in the child first.
// Errors: failed when its exit code is not 0, with what it wrote.
Result<void> run_program(const std::vector<std::string>& command, std::string_view input,
                         const std::function<Result<void>()>& before);

}  // namespace godwit::lab
