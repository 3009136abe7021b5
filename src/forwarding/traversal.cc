// traversal (DEMOS/MP): messages of type 1 queue at the source and are handed over with the migration; a forwarding
// address stays behind there, so that type 2 follow it, and type 3 go along the chain of links from the first node that
// was ever told. A link that is used is compressed: those upstream are told where it leads; traversal-uncompressed
// leaves that out. A link that nobody uses expires.
#include "forwarding/mechanism.h"

namespace godwit::forwarding {

namespace {

class Traversal final : public Mechanism {
 public:
  explicit Traversal(bool compresses) : compresses_(compresses) {}
  std::string_view name() const override { return compresses_ ? "traversal" : "traversal-uncompressed"; }
  std::chrono::seconds link_life() const override { return std::chrono::minutes(5); }
  void left(const Move& move, Surroundings& around) const override {
    around.link_to(move.address, move.to);
    around.end_diversion(move.address);
    around.release(move.address);
    Link* link = around.find_link(move.address);
    if (link == nullptr) return;
    link->upstream = move.partners;
    std::erase(link->upstream, around.self());
    std::erase(link->upstream, move.to);
  }
  // DEMOS/MP's link update: whoever still sends here learns the next link's end, and sends there from now on.
  void link_used(const Link& link, Surroundings& around) const override {
    if (!compresses_) return;
    for (const std::string& sender : link.upstream) {
      around.tell(sender, {link.address, Word::State::here, link.node, "traversal", link.version}, {});
    }
  }

 private:
  bool compresses_;
};

}  // namespace

const Mechanism& traversal() {
  static const Traversal mechanism(true);
  return mechanism;
}

const Mechanism& traversal_uncompressed() {
  static const Traversal mechanism(false);
  return mechanism;
}

}  // namespace godwit::forwarding
