// resend-notify (Amoeba): the source answers the sending nodes "frozen, try later", and after the move "unknown here".
// A node that is told so holds what its programs send, asks again after a while, and locates anew when the place is
// unknown. What has come to the source is dropped.
#include "forwarding/mechanism.h"

namespace godwit::forwarding {

namespace {

constexpr std::chrono::milliseconds kTryLater(5);
constexpr int kMostTries = 2000;

void try_later(const std::string& node, VirtualAddress address, Surroundings& around, int tries) {
  around.after(kTryLater, [node, address, &around, tries] {
    around.ask(node, address, [node, address, &around, tries](Result<Word> answer) {
      bool frozen = answer && answer->state == Word::State::frozen;
      if (frozen && tries > 0) return try_later(node, address, around, tries - 1);
      if (answer && answer->state == Word::State::here) return resend_notify().heard(*answer, around);
      around.ask_everybody(address, [node, address, &around, tries](Result<Word> found) {
        if (found) return resend_notify().heard(*found, around);
        if (tries > 0) return try_later(node, address, around, tries - 1);  // between the two nodes
        around.refuse_waiting(address);
      });
    });
  });
}

void answer_senders(const Move& move, Word::State state, uint64_t version, Surroundings& around) {
  for (const std::string& sender : move.partners) {
    if (sender == around.self()) continue;
    around.tell(sender, {move.address, state, around.self(), "resend-notify", version}, {});
  }
}

class ResendNotify final : public Mechanism {
 public:
  std::string_view name() const override { return "resend-notify"; }
  void wanted_while_frozen(const Move& move, Surroundings& around) const override {
    answer_senders(move, Word::State::frozen, move.version, around);
  }
  void stayed(const Move& move, Surroundings& around) const override {
    answer_senders(move, Word::State::here, move.version + 1, around);
  }
  void left(const Move& move, Surroundings& around) const override {
    around.drop_passing(move.address, true);
    around.unlink(move.address);
    around.end_diversion(move.address);
    around.drop_waiting(move.address);
    answer_senders(move, Word::State::unknown, move.version, around);
  }
  void heard(const Word& word, Surroundings& around) const override {
    if (word.state == Word::State::here) return Mechanism::heard(word, around);
    // Without a link what programs here send waits in the waiting room.
    around.unlink(word.address);
    if (word.state == Word::State::frozen) try_later(word.node, word.address, around, kMostTries);
  }
  void wanted(VirtualAddress address, Surroundings& around) const override {
    around.ask_everybody(address, [address, &around](Result<Word> answer) {
      if (answer) return resend_notify().heard(*answer, around);
      around.drop_waiting(address);
    });
  }
  bool minds_silence() const override { return true; }
  void no_answer(const Link& link, Surroundings& around) const override { around.unlink(link.address); }
};

}  // namespace

const Mechanism& resend_notify() {
  static const ResendNotify mechanism;
  return mechanism;
}

}  // namespace godwit::forwarding
