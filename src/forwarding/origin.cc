// origin (Sprite, AIX TCF): the address names the home node, which always knows the place. Every node but home sends
// there, always; so does the source after a move. Messages that come meanwhile wait at the source until home knows.
#include "forwarding/mechanism.h"

namespace godwit::forwarding {

namespace {

void hand_to_home(const Move& move, Surroundings& around) {
  Word word{move.address, Word::State::here, move.to, "origin", move.version};
  tell_until_noted(move.home, word, around, [move, &around] {
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
    if (!home_knows) return hand_to_home(move, around);
    around.link_to(move.address, move.to);
    around.end_diversion(move.address);
    around.release(move.address);
  }
  void arrived(const Move& move, Surroundings& around) const override {
    if (move.home == around.self()) return;
    tell_until_noted(move.home, {move.address, Word::State::here, move.to, "origin", move.version}, around);
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
