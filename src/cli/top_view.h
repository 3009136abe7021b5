// What `godwit top` shows: the nodes, the jobs, and how far those are that move. Pure: values in, text out.
#pragma once

#include <godwit/api.pb.h>

#include <string>

namespace godwit::cli {

// Lines of at most `width` columns (0: as long as they need), `height` of them at most (0: all).
std::string top_text(const api::NodesReply& nodes, const api::ListJobsReply& jobs, int64_t now_unix_ms, size_t width,
                     size_t height);
// One JSON object; its keys are listed in godwit(1).
std::string top_json(const api::NodesReply& nodes, const api::ListJobsReply& jobs, int64_t now_unix_ms);

}  // namespace godwit::cli
