// update (Charlotte): the source knows the logical host's partners and tells all of them the new place, in parallel
// with the transfer; the destination tells them again until they have taken note. Types 1 and 2 are sent on by the
// source and wait at the destination; type 3 goes straight.
#include "forwarding/mechanism.h"

namespace godwit::forwarding {

namespace {

void tell_partners(const Move& move, const std::string& place, uint64_t version, Surroundings& around) {
  for (const std::string& partner : move.partners) {
    if (partner == around.self() || partner == move.to) continue;
    around.tell(partner, {move.address, Word::State::here, place, "update", version}, {});
  }
}

class Update final : public Mechanism {
 public:
  std::string_view name() const override { return "update"; }
  bool waits_at_destination() const override { return true; }
  void freezing(const Move& move, Surroundings& around) const override {
    tell_partners(move, move.to, move.version, around);
  }
  void stayed(const Move& move, Surroundings& around) const override {
    tell_partners(move, around.self(), move.version + 1, around);
  }
  void arrived(const Move& move, Surroundings& around) const override {
    for (const std::string& partner : move.partners) {
      if (partner == around.self()) continue;
      tell_until_noted(partner, {move.address, Word::State::here, move.to, "update", move.version}, around);
    }
  }
  void left(const Move& move, Surroundings& around) const override {
    around.link_to(move.address, move.to);
    around.end_diversion(move.address);
    around.release(move.address);
    tell_partners(move, move.to, move.version, around);  // those that asked meanwhile; others know it already
  }
};

}  // namespace

const Mechanism& update() {
  static const Update mechanism;
  return mechanism;
}

}  // namespace godwit::forwarding
