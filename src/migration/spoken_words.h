// Last words (objects/last_words.h) between the two workers: told of in the freeze, said when the program runs again.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "objects/last_words.h"
#include "transport/connection.h"

namespace godwit::migration {

struct LostWords {
  std::vector<sys::LastWords> words;
  std::string why;  // if that is known
};
// Source: what connections that the job has left behind still have to say, asked of them and sent. `words`: what there
// was in the stop; `closed`: those of them that the destination was told of. Returns what did not move; without it the
// destination resets the connections.
LostWords pass_on_last_words(transport::Connection& connection, pid_t init_pid, std::vector<sys::LastWords> words,
                             const std::vector<sys::TcpStanding>& closed);

// Destination. Those that the source does not get to are reset.
void receive_last_words(transport::Connection& connection, objects::LastWordsRestore closed);

}  // namespace godwit::migration
