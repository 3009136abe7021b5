// Mechanism: how messages find a logical host that moved. One file for each of the classic ones.
//
// A message is of type 1 when it comes to the source after the freeze and before the restart, of type 2 when it comes
// to the source later, of type 3 when another node sends it later. A mechanism decides by events, in the daemon's loop;
// what it decides is done through Surroundings, so that all of it can be tested without a network. Its own state is
// none: what is remembered is a Link per address.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "forwarding/virtual_address.h"

namespace godwit::forwarding {

// What one node says to another of a logical host's place.
struct Word {
  enum class State { here, frozen, elsewhere, unknown };
  VirtualAddress address;
  State state = State::unknown;
  std::string node;       // here, frozen: where it is. elsewhere: where to ask.
  std::string mechanism;  // empty: not known
  uint64_t version = 0;   // of two words the one with the higher number counts
};

// A migration from this node; or to it, when it has arrived.
struct Move {
  VirtualAddress address;
  std::string job, to, home;
  std::vector<std::string> partners;  // nodes that asked where it is
  uint64_t version = 0;               // for what is said of this migration; version + 1 takes it back
};

// What a node knows of a logical host that is elsewhere.
struct Link {
  VirtualAddress address;
  std::string node;  // where it is, as far as is known; empty: not known
  std::string mechanism;
  uint64_t version = 0;
  std::vector<std::string> upstream;  // nodes that were told it is here, when it was
};

// This node and its way to others. Messages to nodes go out at once and in parallel.
class Surroundings {
 public:
  using Heard = std::function<void(Result<Word>)>;
  virtual ~Surroundings() = default;
  virtual const std::string& self() const = 0;
  virtual std::string home_of(VirtualAddress address) const = 0;

  // Routes of this node (forwarding/routes.h).
  virtual void link_to(VirtualAddress address, const std::string& node) = 0;
  virtual void unlink(VirtualAddress address) = 0;
  virtual void end_diversion(VirtualAddress address) = 0;
  virtual void release(VirtualAddress address) = 0;
  virtual void drop_waiting(VirtualAddress address) = 0;
  virtual void refuse_waiting(VirtualAddress address) = 0;
  // Messages that other nodes send through this one are dropped from now on, or no longer.
  virtual void drop_passing(VirtualAddress address, bool drop) = 0;

  // `done`: whether the node has taken note.
  virtual void tell(const std::string& node, const Word& word, std::function<void(bool)> done) = 0;
  virtual void ask(const std::string& node, VirtualAddress address, Heard heard) = 0;
  virtual void ask_directory(VirtualAddress address, Heard heard) = 0;
  // The first node that has it answers. Errors: gone when none has; peer_lost when none of those has that can be asked.
  virtual void ask_everybody(VirtualAddress address, Heard heard) = 0;
  virtual void after(std::chrono::milliseconds delay, std::function<void()> work) = 0;
  // The present link; nothing when there is none.
  virtual Link* find_link(VirtualAddress address) = 0;
};

class Mechanism {
 public:
  virtual ~Mechanism() = default;
  virtual std::string_view name() const = 0;

  // Whether messages of type 1 are sent on to the destination at once and wait there; otherwise they wait here.
  virtual bool waits_at_destination() const { return false; }
  // The source: the freeze begins in a moment.
  virtual void freezing(const Move&, Surroundings&) const {}
  // The source: it runs on here after all. Packets are let go by the migration itself.
  virtual void stayed(const Move&, Surroundings&) const {}
  // The source: it runs at the destination. Packets may still wait here; here the diversion ends.
  virtual void left(const Move& move, Surroundings& around) const = 0;
  // The destination: it runs here. Whoever the mechanism relies on is told from here too: the source may have died, or
  // been cut off, before its own word was heard.
  virtual void arrived(const Move&, Surroundings&) const {}
  // The source: a message came for what is frozen.
  virtual void wanted_while_frozen(const Move&, Surroundings&) const {}
  // A node: a message waits here for an address without a known place; again every second for as long as it does.
  virtual void wanted(VirtualAddress address, Surroundings& around) const;
  // A node: it was told, or has found out, where a logical host is.
  virtual void heard(const Word& word, Surroundings& around) const;
  // A node: messages went through this one along a link; or its own went without an answer.
  virtual void link_used(const Link&, Surroundings&) const {}
  virtual void no_answer(const Link&, Surroundings&) const {}
  // Whether no_answer() is of interest.
  virtual bool minds_silence() const { return false; }
  // After how long without use a link of a node that it has left is forgotten; 0: never.
  virtual std::chrono::seconds link_life() const { return std::chrono::seconds(0); }
};

// The mechanism of that name. Errors: unsupported, naming those there are.
Result<const Mechanism*> find_mechanism(std::string_view name);
inline constexpr std::string_view kDefaultMechanism = "update";

const Mechanism& resend();
const Mechanism& resend_notify();
const Mechanism& origin();
const Mechanism& traversal();
const Mechanism& traversal_uncompressed();
const Mechanism& update();

// Tells the node, and tells it again now and then, for some 10 s, until it has taken note. `then`: afterwards, in any
// case.
void tell_until_noted(
    const std::string& node, const Word& word, Surroundings& around, std::function<void()> then = [] {});

// The usual search: the directory, and when that does not answer every node; then the node found is asked, which from
// then on counts this one among the partners.
void search(VirtualAddress address, Surroundings& around);

}  // namespace godwit::forwarding
