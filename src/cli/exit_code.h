// What `godwit` tells the shell. `run` (attached), `wait` and `exec` answer with the program's own status instead.
#pragma once

namespace godwit::cli {

enum ExitCode : int {
  kDone = 0,
  kFailed = 1,   // it failed; a job it was about runs where it ran before
  kUsage = 2,    // the command line makes no sense
  kRefused = 3,  // refused before anything was touched
  kLost = 4,     // the job is gone
};

// The shell's number for a wait(2) status word: the exit status, or 128 + the signal.
constexpr int exit_code_of_wait_status(int status) {
  int signal = status & 0x7f;
  return signal != 0 ? 128 + signal : (status >> 8) & 0xff;
}

}  // namespace godwit::cli
