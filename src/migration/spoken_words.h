// Last words (objects/last_words.h) between the two workers: told of in the freeze, said when the program runs again.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "godwit/wire.pb.h"
#include "objects/last_words.h"
#include "objects/sockets.h"
#include "transport/connection.h"

namespace godwit::migration {

struct LostWords {
  std::vector<sys::LastWords> words;
  std::string why;  // if that is known
};
struct ClosedEnds {
  std::vector<sys::TcpStanding> outside;      // of connections with others
  std::vector<objects::ReaderWithin> within;  // the other ends, in the job
};
// Source, in the freeze: fills `state` with those that the program has closed. `words`: what there was in the stop, and
// becomes what there is still.
Result<ClosedEnds> tell_closed(objects::SocketCapture& sockets, std::vector<sys::LastWords>& words,
                               wire::FinalState& state);
// Source, when the job has left: what they still have to say, asked of them and sent. Returns what did not move;
// without it the destination resets the connections.
LostWords pass_on_last_words(transport::Connection& connection, pid_t init_pid, std::vector<sys::LastWords> words,
                             const ClosedEnds& closed);

// Destination. Those that the source does not get to are reset.
void receive_last_words(transport::Connection& connection, objects::LastWordsRestore closed);

}  // namespace godwit::migration
