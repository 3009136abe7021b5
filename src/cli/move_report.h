// What a move did, for a person and for a program. Pure: values in, text out.
#pragma once

#include <godwit/worker.pb.h>

#include <string>
#include <vector>

namespace godwit::cli {

struct MoveOutcome {
  std::string job;  // identifier
  std::string name;
  std::string from;  // node names
  std::string to;
  std::string method;   // total | precopy | postcopy | hybrid
  std::string state;    // moved | refused | failed | dry_run | lost
  std::string message;  // refused, failed, lost: one sentence
  godwit::worker::Report report;
  std::vector<godwit::worker::Refusal> refusals;
};

// One JSON object; its keys are listed in godwit(1). `full`: with every round, and what had been sent by which time.
enum class Detail { summary, full };
std::string move_json(const MoveOutcome& outcome, Detail detail = Detail::summary);

// Several lines for a terminal that is `width` columns wide.
std::string moved_text(const MoveOutcome& outcome, size_t width);
// A line for each round of pre-copy; empty when there was none.
std::string rounds_table(const godwit::worker::Report& report);
std::string dry_run_text(const MoveOutcome& outcome, size_t width);

// A line for each thing that cannot move: where it is, what it is, what helps.
std::string refusal_table(const std::vector<godwit::worker::Refusal>& refusals, size_t width);

// "total freezing", "pre-copy", ...
std::string method_in_words(const std::string& method);
// When the first thread was stopped, since the request.
double freeze_begin_ms(const godwit::worker::Report& report);

int exit_code_of_move(const MoveOutcome& outcome);

}  // namespace godwit::cli
