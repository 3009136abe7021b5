#include "cli/program_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "cli/exit_code.h"
#include "cli/output.h"

namespace godwit::cli {

namespace {
std::string name_of(const std::string& variable) { return variable.substr(0, variable.find('=')); }
}  // namespace

void add_program_options(Command& command, ProgramOptions& options) {
  command.flag("-i,--interactive", options.input, "Pass standard input on to the program")
      .flag("-t,--tty", options.terminal, "Give the program a terminal")
      .repeated("-e,--env", options.environment, "NAME=VALUE",
                "Set a variable; NAME alone takes it over; may be repeated")
      .option("-w,--cwd", options.directory, "DIR", "The program's working directory (default: this one)")
      .option("-u,--user", options.user, "USER", "Run as this user (root only)");
}

Result<std::vector<std::string>> merged_environment(const std::vector<std::string>& base,
                                                    const std::vector<std::string>& changes) {
  std::vector<std::string> merged = base;
  for (const std::string& change : changes) {
    std::string name = name_of(change);
    if (name.empty())
      return error(ErrorKind::corrupt, fmt::format("\"{}\" is no variable: --env takes NAME=VALUE", change));
    if (change.find('=') == std::string::npos) continue;
    auto old = std::ranges::find(merged, name, name_of);
    if (old != merged.end())
      *old = change;
    else
      merged.push_back(change);
  }
  return merged;
}

std::vector<std::string> own_environment() {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  return variables;
}

std::string default_directory(bool in_lab) {
  std::error_code failed;
  std::string path = std::filesystem::current_path(failed).string();
  if (failed) return {};
  for (std::string own : {"/tmp", "/run"})
    if (in_lab && (path == own || path.starts_with(own + "/"))) return {};
  return path;
}

sys::WindowSize new_terminal_size() {
  for (int fd : {0, 1, 2})
    if (auto size = sys::window_size(fd)) return *size;
  return {.rows = 24, .columns = 80};
}

int exit_code_of_session(const Result<SessionEnd>& end, const std::string& job) {
  if (!end) {
    complain(end.error());
    return end.error().kind == ErrorKind::gone ? kLost : kFailed;
  }
  switch (end->kind) {
    case SessionEnd::Kind::ended: return exit_code_of_wait_status(end->status);
    case SessionEnd::Kind::detached:
      fprintf(stderr, "\n%s runs on; `godwit attach %s` comes back to it.\n", job.c_str(), job.c_str());
      return kDone;
    case SessionEnd::Kind::interrupted: return 128 + end->status;
  }
  return kFailed;
}

}  // namespace godwit::cli
