// The user's terminal or standard streams on one side, a job's console on the other, until one of them ends.
//
// Three threads: the caller's polls standard input and signals, one writes what the console sends, one passes input on
// (and may wait there while the job does not read). The terminal's settings are put back on every way out: signals that
// would end this process arrive through the SignalQueue and become ordinary returns.
#pragma once

#include "base/result.h"
#include "cli/console_link.h"
#include "sys/signal_queue.h"

namespace godwit::cli {

struct SessionOptions {
  bool input = false;     // pass standard input on
  bool terminal = false;  // the console is a terminal: raw mode, window size, detach keys
  bool redraw = false;    // the program on that terminal has drawn its screen for somebody else
  bool lead = false;      // the console's program is ours: SIGINT, SIGTERM, SIGQUIT and SIGHUP go to it
};

struct SessionEnd {
  enum class Kind { ended, detached, interrupted };
  Kind kind = Kind::ended;
  int status = 0;  // ended: wait(2) status word; interrupted: the signal
};

// Signals that a session wants to see; taken before any thread is made.
Result<sys::SignalQueue> take_session_signals();

Result<SessionEnd> run_console_session(ConsoleLink& link, sys::SignalQueue& signals, const SessionOptions& options);

}  // namespace godwit::cli
