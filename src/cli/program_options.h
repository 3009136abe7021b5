// What `run` and `exec` have in common: the program to start, its environment and its streams.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command_line.h"
#include "cli/console_session.h"

namespace godwit::cli {

struct ProgramOptions {
  bool input = false;
  bool terminal = false;
  std::vector<std::string> environment;  // NAME=VALUE, or NAME to take it over
  std::string directory;
  std::string user;
  std::vector<std::string> command;
};

void add_program_options(Command& command, ProgramOptions& options);

// `base` (NAME=VALUE each) with `changes` applied. A change that is only a NAME keeps what `base` has, or removes
// nothing. ErrorKind::corrupt for a change without a name.
Result<std::vector<std::string>> merged_environment(const std::vector<std::string>& base,
                                                    const std::vector<std::string>& changes);
std::vector<std::string> own_environment();
// Where a program starts when nobody said where: here, unless this directory has been removed or, in a lab, belongs to
// the machine only. Empty then: the daemon chooses.
std::string default_directory(bool in_lab);

// The size that a new terminal should have: that of ours, or 24 x 80.
sys::WindowSize new_terminal_size();

// Tells how a session ended, where that needs words, and returns the exit code. `job`: as the user may call it again.
int exit_code_of_session(const Result<SessionEnd>& end, const std::string& job);

}  // namespace godwit::cli
