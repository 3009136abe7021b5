// What commands print: results on standard output, one sentence about an error on standard error.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace godwit::cli {

// Columns of the terminal on standard output; 0 if it is none (nothing is wrapped then).
size_t screen_width();

// Standard output; an error there (a closed pipe, a full disk) ends the command with exit code 1 through finish_output.
void print(std::string_view text);
// `exit_code`, or kFailed after an error message if standard output could not be written.
int finish_output(int exit_code);

// "godwit: SENTENCE." on standard error. Ends with one full stop.
void complain(std::string_view sentence);
// The same for an error value; the exit code that fits its kind.
int complain(const Error& error);

// What a wait(2) status word says: "exited with 3", "was killed by signal 9 (Killed)".
std::string wait_status_in_words(int status);

}  // namespace godwit::cli
