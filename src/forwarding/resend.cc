// resend (V-System): messages of types 1 and 2 are dropped at the source, and the sender's transport sends them again.
// A sending node that gets no answer forgets the place it knew and broadcasts a locate query; it keeps the answer.
#include "forwarding/mechanism.h"

namespace godwit::forwarding {

namespace {

class Resend final : public Mechanism {
 public:
  std::string_view name() const override { return "resend"; }
  void left(const Move& move, Surroundings& around) const override {
    around.drop_passing(move.address, true);
    around.unlink(move.address);
    around.end_diversion(move.address);
    around.drop_waiting(move.address);
  }
  void wanted(VirtualAddress address, Surroundings& around) const override {
    around.ask_everybody(address, [address, &around](Result<Word> answer) {
      if (answer) return resend().heard(*answer, around);
      around.drop_waiting(address);  // frozen just now, or gone: the sender tries again
    });
  }
  bool minds_silence() const override { return true; }
  void no_answer(const Link& link, Surroundings& around) const override { around.unlink(link.address); }
};

}  // namespace

const Mechanism& resend() {
  static const Resend mechanism;
  return mechanism;
}

}  // namespace godwit::forwarding
