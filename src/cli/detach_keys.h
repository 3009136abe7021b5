// Finds the keys that detach from a job (ctrl-p ctrl-q) in what the user types; everything else is passed on.
#pragma once

#include <string>
#include <string_view>

namespace godwit::cli {

class DetachKeys {
 public:
  // Appends to `out` what of `typed` belongs to the job; true if the detach keys came (the rest is dropped). A ctrl-p
  // at the end is kept back until the next key.
  bool pass(std::string_view typed, std::string& out);

 private:
  bool held_ = false;  // a ctrl-p that may be the first of the two
};

}  // namespace godwit::cli
