// Looks at links now and then, while there are any that want it: whether they are used, idle, or without an answer.
#include <spdlog/spdlog.h>

#include "node/message_routes.h"

namespace godwit::node {

using forwarding::Link;
using forwarding::LinkWatch;
using forwarding::Mechanism;

namespace {
constexpr std::chrono::milliseconds kLook(40);
}  // namespace

bool MessageRoutes::wants_looks(const Link& link) const {
  const Mechanism& mechanism = mechanism_of(link.mechanism);
  return !link.node.empty() && (mechanism.minds_silence() || mechanism.link_life().count() > 0);
}

void MessageRoutes::look_later() {
  if (looking_ || !tally_.counts()) return;
  looking_ = true;
  loop_.after(kLook, [this] {
    looking_ = false;
    look_at_links();
  });
}

void MessageRoutes::look_at_links() {
  std::vector<uint32_t> wanted;
  for (const auto& [code, link] : links_) {
    if (wants_looks(link)) wanted.push_back(code);
  }
  std::erase_if(watches_, [&](const auto& watch) { return !links_.contains(watch.first); });
  if (wanted.empty()) return;
  const auto& counts = tally_.look();
  auto now = LinkWatch::Clock::now();
  for (uint32_t code : wanted) {
    auto counted = counts.find(code);
    auto watch = watches_.try_emplace(code, now).first;
    auto verdict = watch->second.look(counted == counts.end() ? forwarding::MessageCounts() : counted->second, now);
    judge(code, verdict);
  }
  look_later();
}

void MessageRoutes::judge(uint32_t code, const LinkWatch::Verdict& verdict) {
  Link& link = links_[code];
  const Mechanism& mechanism = mechanism_of(link.mechanism);
  if (verdict.used) {
    mechanism.link_used(link, *this);
    link.upstream.clear();  // each is told once
  }
  if (verdict.no_answer && mechanism.minds_silence()) {
    spdlog::debug("no answer from {}", sys::to_string(link.address.version4()));
    watches_.erase(code);
    return mechanism.no_answer(Link(link), *this);
  }
  if (mechanism.link_life().count() > 0 && verdict.idle >= mechanism.link_life()) {
    unlink(link.address);
    watches_.erase(code);
    links_.erase(code);
  }
}

}  // namespace godwit::node
