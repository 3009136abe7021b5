#include "node/whereabouts.h"

#include <algorithm>

namespace godwit::node {

using State = forwarding::Word::State;

api::Whereabouts to_wire(const forwarding::Word& word) {
  api::Whereabouts wire;
  wire.set_address(word.address.code);
  wire.set_node(word.node);
  wire.set_mechanism(word.mechanism);
  wire.set_version(word.version);
  switch (word.state) {
    case State::here: wire.set_state(api::Whereabouts::HERE); break;
    case State::frozen: wire.set_state(api::Whereabouts::FROZEN); break;
    case State::elsewhere: wire.set_state(api::Whereabouts::ELSEWHERE); break;
    case State::unknown: wire.set_state(api::Whereabouts::UNKNOWN); break;
  }
  return wire;
}

forwarding::Word from_wire(const api::Whereabouts& wire) {
  forwarding::Word word{{wire.address()}, State::unknown, wire.node(), wire.mechanism(), wire.version()};
  switch (wire.state()) {
    case api::Whereabouts::HERE: word.state = State::here; break;
    case api::Whereabouts::FROZEN: word.state = State::frozen; break;
    case api::Whereabouts::ELSEWHERE: word.state = State::elsewhere; break;
    default: break;
  }
  return word;
}

void add_partner(api::Job& job, const std::string& node) {
  constexpr int kMostPartners = 1024;
  auto& partners = *job.mutable_partners();
  bool known = std::ranges::find(partners, node) != partners.end();
  if (!known && partners.size() < kMostPartners) *partners.Add() = node;
}

void remove_partner(api::Job& job, const std::string& node) {
  auto& partners = *job.mutable_partners();
  partners.erase(std::remove(partners.begin(), partners.end(), node), partners.end());
}

std::string address_key(forwarding::VirtualAddress address) { return "vip/" + std::to_string(address.code); }

void free_address(directory::Directory& directory, const api::Job& job) {
  if (job.virtual_address() == 0) return;
  std::string key = address_key({job.virtual_address()});
  auto held = directory.get(key);
  bool ours = held && *held && (*held)->value == job.id();
  if (ours) (void)directory.remove(key, directory::Expect::exactly((*held)->version));  // otherwise it is another's
}

}  // namespace godwit::node
