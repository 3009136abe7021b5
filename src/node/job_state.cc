#include "node/job_state.h"

namespace godwit::node {

bool may_change(JobState from, JobState to) {
  switch (from) {
    case JobState::starting: return to == JobState::running || to == JobState::ended || to == JobState::gone;
    case JobState::running: return to == JobState::moving || to == JobState::ended;
    case JobState::moving: return to == JobState::running || to == JobState::gone || to == JobState::ended;
    case JobState::ended: return to == JobState::gone;
    case JobState::gone: return false;
  }
  return false;
}

std::string_view to_string(JobState state) {
  switch (state) {
    case JobState::starting: return "starting";
    case JobState::running: return "running";
    case JobState::moving: return "moving";
    case JobState::ended: return "ended";
    case JobState::gone: return "gone";
  }
  return "unknown";
}

api::JobState to_api(JobState state) {
  switch (state) {
    case JobState::starting: return api::STARTING;
    case JobState::running: return api::RUNNING;
    case JobState::moving: return api::MOVING;
    case JobState::ended: return api::ENDED;
    case JobState::gone: return api::UNKNOWN;
  }
  return api::UNKNOWN;
}

}  // namespace godwit::node
