// Ports that lead to a job, as a person writes and reads them: [NODEPORT:]PORT[/tcp|udp].
#pragma once

#include <godwit/api.pb.h>

#include <string>

#include "base/result.h"

namespace godwit::cli {

// Without NODEPORT both are the same. Errors: corrupt.
Result<api::Publication> parse_publication(const std::string& text);
// "8080->80/tcp, 53->53/udp"; empty when the job publishes none.
std::string ports_of(const api::Job& job);

}  // namespace godwit::cli
