// ReadyDescriptions: what the destination makes of a plan's descriptions before the freeze, so that in it they need
// only be taken: files and directories that it has itself, event counters, pipes without a name.
//
// Nothing that others could notice is among them: nobody writes to such a file. What is taken is as new: the position
// is at the beginning.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "files/opener.h"
#include "godwit/image.pb.h"

namespace godwit::objects {

// A pipe in this worker, of which each end becomes a description; further descriptions of an end are opened anew.
struct PipeEnds {
  UniqueFd read, write;  // of a FIFO only `read`, for both
  uint32_t capacity = 0;
  bool read_taken = false, write_taken = false;
};
Result<PipeEnds> make_pipe(uint32_t capacity);

class ReadyDescriptions {
 public:
  explicit ReadyDescriptions(files::Opener& opener) : opener_(opener) {}
  // Makes what `plan` has and is not ready, drops what it has no longer. What cannot be made is left to the freeze,
  // which says why.
  void prepare(const image::LogicalHost& plan);
  // None: it has to be made.
  UniqueFd take(const image::Description& description);
  // By their numbers in the image.
  std::map<uint64_t, PipeEnds> take_pipes() { return std::exchange(pipes_, {}); }
  // What nobody wanted is closed.
  void clear() { ready_.clear(); }

 private:
  std::string key_of(const image::Description& description) const;
  Result<UniqueFd> make(const image::Description& description);
  void prepare_pipe(const image::PipeEnd& end, std::map<uint64_t, PipeEnds>& before);

  files::Opener& opener_;
  std::multimap<std::string, UniqueFd> ready_;
  std::map<uint64_t, PipeEnds> pipes_;
};

}  // namespace godwit::objects
