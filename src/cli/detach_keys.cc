#include "cli/detach_keys.h"

namespace godwit::cli {

namespace {
constexpr char kFirst = 'p' & 0x1f;
constexpr char kSecond = 'q' & 0x1f;
}  // namespace

bool DetachKeys::pass(std::string_view typed, std::string& out) {
  for (char key : typed) {
    if (held_ && key == kSecond) return true;
    if (held_) out += kFirst;
    held_ = key == kFirst;
    if (!held_) out += key;
  }
  return false;
}

}  // namespace godwit::cli
