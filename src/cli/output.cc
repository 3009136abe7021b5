#include "cli/output.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstring>

#include "cli/exit_code.h"
#include "cli/table.h"
#include "sys/terminal.h"

namespace godwit::cli {

size_t screen_width() {
  if (!sys::is_terminal(1)) return 0;
  auto size = sys::window_size(1);
  return size ? size->columns : 80;
}

void print(std::string_view text) { fwrite(text.data(), 1, text.size(), stdout); }

int finish_output(int exit_code) {
  if (fflush(stdout) == 0 && ferror(stdout) == 0) return exit_code;
  complain("the output could not be written");
  return kFailed;
}

void complain(std::string_view sentence) {
  std::string text = printable(sentence);
  while (text.ends_with('.') || text.ends_with(' ')) text.pop_back();
  fprintf(stderr, "godwit: %s.\n", text.c_str());
}

int complain(const Error& error) {
  complain(error.message());
  return kFailed;
}

std::string wait_status_in_words(int status) {
  int signal = status & 0x7f;
  if (signal == 0) return fmt::format("exited with {}", (status >> 8) & 0xff);
  return fmt::format("was killed by signal {} ({})", signal, strsignal(signal));
}

}  // namespace godwit::cli
