#include "lab/child_task.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "sys/byte_stream.h"
#include "sys/child_process.h"

namespace godwit::lab {
namespace {

// An Error as text: four fields, each ended by a zero byte.
std::string encode(const Error& failure) {
  std::string text = std::to_string(static_cast<int>(failure.kind)) + '\0';
  text += std::to_string(failure.errno_value) + '\0';
  text += failure.call + '\0';
  text += failure.context + '\0';
  return text;
}

Error decode(std::string_view text) {
  std::array<std::string, 4> fields;
  for (std::string& field : fields) {
    size_t end = std::min(text.find('\0'), text.size());
    field = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return Error{static_cast<ErrorKind>(::atoi(fields[0].c_str())), ::atoi(fields[1].c_str()), fields[2], fields[3]};
}

constexpr char kValue = 'v';
constexpr char kFailure = 'f';

// Splits what a child wrote: kValue or kFailure, and the rest.
Result<std::string> decode_answer(std::string_view answer) {
  if (answer.empty()) return error(ErrorKind::gone, "a child process died");
  if (answer.front() == kFailure) return decode(answer.substr(1));
  return std::string(answer.substr(1));
}

}  // namespace

Result<std::string> run_in_child(const std::function<Result<std::string>()>& task) {
  auto pipe = TRY(sys::make_pipe());
  pid_t child = TRY(sys::fork_child());
  if (child == 0) {
    auto result = task();
    std::string answer = result ? kValue + *result : kFailure + encode(result.error());
    ::_exit(sys::write_all(pipe.write.get(), answer) ? 0 : 1);
  }
  pipe.write.reset();
  auto answer = sys::read_to_end(pipe.read.get());
  TRY(sys::wait_for_child(child));
  if (!answer) return answer;
  return decode_answer(*answer);
}

Result<pid_t> start_in_child(const std::function<Error()>& task) {
  auto pipe = TRY(sys::make_pipe());
  pid_t child = TRY(sys::fork_child());
  if (child == 0) {
    std::string answer = kFailure + encode(task());
    ::_exit(sys::write_all(pipe.write.get(), answer) ? 126 : 127);
  }
  pipe.write.reset();
  auto answer = TRY(sys::read_to_end(pipe.read.get()));  // ends when the program begins: the pipe is close-on-exec
  if (answer.empty()) return child;
  TRY(sys::wait_for_child(child));
  return decode(std::string_view(answer).substr(1));
}

Result<void> run_program(const std::vector<std::string>& command, std::string_view input,
                         const std::function<Result<void>()>& before) {
  auto in = TRY(sys::make_memory_file(input));
  auto out = TRY(sys::make_memory_file({}));
  auto become = [&]() -> Error {
    if (auto ready = before(); !ready) return std::move(ready.error());
    auto streams = sys::set_standard_streams(in.get(), out.get(), out.get());
    if (!streams) return std::move(streams.error());
    sys::reset_signals();
    std::vector<std::string> environment{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                         "LC_ALL=C"};
    return sys::execute(command[0], command, environment);
  };
  pid_t child = TRY(start_in_child(become));
  int status = TRY(sys::wait_for_child(child));
  if (status == 0) return {};
  TRY(sys::seek_to_start(out.get()));
  std::string said = TRY(sys::read_to_end(out.get()));
  while (!said.empty() && said.back() == '\n') said.pop_back();
  std::ranges::replace(said, '\n', ';');
  return error(ErrorKind::failed, command[0] + ": " + (said.empty() ? "failed without a word" : said));
}

}  // namespace godwit::lab
