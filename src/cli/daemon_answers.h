// Whether a daemon serves requests.
#pragma once

#include <string>

namespace godwit::cli {

// `socket`: path of a unix socket. Blocks for at most a second. From any thread.
bool daemon_answers(const std::string& socket);

}  // namespace godwit::cli
