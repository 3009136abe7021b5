// Last words (objects/last_words.h) between the two workers: told of in the freeze, said when the program runs again.
#pragma once

#include <vector>

#include "base/result.h"
#include "objects/last_words.h"
#include "transport/connection.h"

namespace godwit::migration {

// Source. What of `words` did not move: `closed` are those that were told of, and `said` whether each was heard to its
// end.
std::vector<sys::LastWords> what_is_lost(std::vector<sys::LastWords> words, const std::vector<sys::TcpStanding>& closed,
                                         const std::vector<image::TcpSocket>& said);
// What they have to say, asked of the connections that the job has left behind, and sent. Nothing of those that were
// not heard to their end.
Result<std::vector<image::TcpSocket>> pass_on_last_words(transport::Connection& connection, int init_pidfd,
                                                         const std::vector<sys::TcpStanding>& closed);

// Destination. Those that the source does not get to are reset.
Result<void> receive_last_words(transport::Connection& connection, objects::LastWordsRestore closed);

}  // namespace godwit::migration
