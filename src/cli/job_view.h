// A job as people and programs read it.
#pragma once

#include <godwit/api.pb.h>

#include <string>

#include "cli/json_writer.h"
#include "cli/move_report.h"

namespace godwit::cli {

// starting | running | moving | ended | lost | unknown
std::string state_name(api::JobState state);

// One JSON object; its keys are listed in godwit(1).
void add_job(JsonWriter& json, const api::Job& job);

// The line that was started, quoted where a shell would need it.
std::string command_line_of(const api::Job& job);

// The outcome of a move that succeeded.
MoveOutcome outcome_of(const api::MoveEvent::Moved& moved, const std::string& name);

// A table, a line for each job. `now_unix_ms`: to tell ages.
std::string job_table(const api::ListJobsReply& jobs, int64_t now_unix_ms);
// Everything known about one job, in several lines at most `width` columns wide.
std::string job_text(const api::Job& job, int64_t now_unix_ms, size_t width);

int64_t unix_ms_now();
// Local time, "2026-11-24 10:48:44".
std::string local_time(int64_t unix_ms);

}  // namespace godwit::cli
