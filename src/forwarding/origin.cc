// origin (Sprite, AIX TCF): the address names the home node, which always knows the place. Every node but home sends
// there, always; so does the source after a move. Messages that come meanwhile wait at the source until home knows.
#include "forwarding/mechanism.h"

namespace godwit::forwarding {

namespace {

constexpr std::chrono::milliseconds kTellAgain(500);
constexpr int kMostTries = 20;

void hand_to_home(const Move& move, Surroundings& around, int tries) {
  Word word{move.address, Word::State::here, move.to, "origin", move.version};
  around.tell(move.home, word, [move, &around, tries](bool noted) {
    if (!noted && tries > 0) {
      return around.after(kTellAgain, [move, &around, tries] { hand_to_home(move, around, tries - 1); });
    }
    around.link_to(move.address, move.home);
    around.end_diversion(move.address);
    around.release(move.address);
  });
}

class Origin final : public Mechanism {
 public:
  std::string_view name() const override { return "origin"; }
  void left(const Move& move, Surroundings& around) const override {
    bool home_knows = move.home == around.self() || move.home == move.to;
    if (!home_knows) return hand_to_home(move, around, kMostTries);
    around.link_to(move.address, move.to);
    around.end_diversion(move.address);
    around.release(move.address);
  }
  void heard(const Word& word, Surroundings& around) const override {
    std::string home = around.home_of(word.address);
    bool placed = word.state == Word::State::here || word.state == Word::State::frozen;
    if (!placed || home == around.self() || home.empty()) return Mechanism::heard(word, around);
    around.link_to(word.address, home);
    around.release(word.address);
  }
};

}  // namespace

const Mechanism& origin() {
  static const Origin mechanism;
  return mechanism;
}

}  // namespace godwit::forwarding
