// The states of a job on its node, and which changes there are. docs/states.md draws the table; a test compares.
#pragma once

#include <string_view>

#include "godwit/api.pb.h"

namespace godwit::node {

enum class JobState {
  starting,  // its logical host is being made
  running,
  moving,  // a migration away is under way; it may come back to running
  ended,   // its program ended; status and logs are kept
  gone,    // it lives elsewhere now, or was removed
};

bool may_change(JobState from, JobState to);
std::string_view to_string(JobState state);
api::JobState to_api(JobState state);

}  // namespace godwit::node
