#include "forwarding/mechanism.h"

namespace godwit::forwarding {

namespace {

constexpr int kMostSteps = 8;  // it may move while it is looked for

void follow(VirtualAddress address, Result<Word> found, Surroundings& around, int steps) {
  if (!found && found.error().kind == ErrorKind::peer_lost) return;  // wanted() again before long: packets wait on
  if (!found || found->state == Word::State::unknown || found->node.empty() || steps == 0) {
    return around.refuse_waiting(address);
  }
  if (found->node == around.self()) {  // it is just arriving, or was here a moment ago
    return around.after(std::chrono::milliseconds(20), [address, &around, steps] {
      around.ask_directory(address, [address, &around, steps](Result<Word> again) {
        follow(address, std::move(again), around, steps - 1);
      });
    });
  }
  if (found->state != Word::State::elsewhere) {
    auto mechanism = find_mechanism(found->mechanism);
    return (mechanism ? **mechanism : update()).heard(*found, around);
  }
  around.ask(found->node, address, [address, &around, steps](Result<Word> answer) {
    if (answer && answer->state != Word::State::unknown) return follow(address, std::move(answer), around, steps - 1);
    // It has left there, or the node does not answer: what the directory says by now counts.
    around.after(std::chrono::milliseconds(50), [address, &around, steps] {
      around.ask_directory(address, [address, &around, steps](Result<Word> again) {
        follow(address, std::move(again), around, steps - 1);
      });
    });
  });
}

constexpr std::chrono::milliseconds kTellAgain(500);
constexpr int kMostTries = 20;

void tell_again(const std::string& node, const Word& word, Surroundings& around, const std::function<void()>& then,
                int tries) {
  around.tell(node, word, [node, word, &around, then, tries](bool noted) {
    if (noted || tries == 0) return then();
    around.after(kTellAgain, [node, word, &around, then, tries] { tell_again(node, word, around, then, tries - 1); });
  });
}

}  // namespace

void tell_until_noted(const std::string& node, const Word& word, Surroundings& around, std::function<void()> then) {
  tell_again(node, word, around, then, kMostTries);
}

void search(VirtualAddress address, Surroundings& around) {
  around.ask_directory(address, [address, &around](Result<Word> found) {
    if (found || found.error().kind == ErrorKind::gone) return follow(address, std::move(found), around, kMostSteps);
    around.ask_everybody(
        address, [address, &around](Result<Word> answer) { follow(address, std::move(answer), around, kMostSteps); });
  });
}

void Mechanism::wanted(VirtualAddress address, Surroundings& around) const { search(address, around); }

void Mechanism::heard(const Word& word, Surroundings& around) const {
  switch (word.state) {
    case Word::State::here:
    case Word::State::frozen: around.link_to(word.address, word.node); return around.release(word.address);
    case Word::State::elsewhere: return;
    case Word::State::unknown: return around.unlink(word.address);
  }
}

Result<const Mechanism*> find_mechanism(std::string_view name) {
  for (const Mechanism* each :
       {&resend(), &resend_notify(), &origin(), &traversal(), &traversal_uncompressed(), &update()}) {
    if (each->name() == name) return each;
  }
  return error(ErrorKind::unsupported, "there is no forwarding mechanism '" + std::string(name) +
                                           "'; there are resend, resend-notify, origin, traversal and update");
}

}  // namespace godwit::forwarding
