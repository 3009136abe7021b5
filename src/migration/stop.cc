#include "migration/stop.h"

#include <chrono>
#include <thread>

namespace godwit::migration {

Result<freeze::SeizedTree> stop_all(Inventory& inventory, const worker::JobPlace& place) {
  constexpr std::chrono::seconds kPatience(30);
  TRY(inventory.note_waits());
  return freeze::SeizedTree::seize(place.cgroup() + "/procs", place.init_pid(),
                                   std::chrono::steady_clock::now() + kPatience);
}

namespace {

// A stopped program adds nothing to it, and peers that read take it within a round trip.
std::vector<sys::LastWords> let_last_words_arrive(objects::SocketCapture& sockets) {
  constexpr std::chrono::milliseconds kPatience(3);
  constexpr std::chrono::microseconds kBetween(100);
  auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto words = sockets.last_words();
    if (!words) return {};  // a kernel that does not tell
    if (words->empty() || std::chrono::steady_clock::now() > until) return std::move(*words);
    std::this_thread::sleep_for(kBetween);
  }
}

}  // namespace

Result<QuietStop> stop_quiet(Inventory& inventory, const worker::JobPlace& place, objects::SocketCapture& sockets,
                             forwarding::HeldPackets& packets, const std::function<Result<void>()>& meanwhile) {
  constexpr std::chrono::milliseconds kBetween(2);
  constexpr int kTries = 100, kTriesForLastWords = 30, kTriesForTheSame = 3;
  std::vector<sys::LastWords> before;
  int same = 0;  // how often in a row nobody has taken anything
  for (int tries = 1;; ++tries) {
    freeze::SeizedTree tree = TRY(stop_all(inventory, place));
    std::vector<sys::LastWords> words = let_last_words_arrive(sockets);  // before what acknowledges them is held
    same = words == before ? same + 1 : 0;
    bool arrived = words.empty() || tries >= kTriesForLastWords || same >= kTriesForTheSame;
    if (arrived) TRY(packets.hold());  // before the look: a packet may bring a connection
    bool last = tries == kTries;
    if (arrived && !inventory.has_unread(last)) return QuietStop{std::move(tree), std::move(words)};
    TRY(inventory.note_calls(tree));
    if (last) {
      return error(ErrorKind::retry,
                   "the program does not read or accept what waits for it (inotify events, netlink messages, "
                   "connections); try again when it has done so");
    }
    if (arrived) packets.let_go();
    tree.let_go();
    before = std::move(words);
    std::this_thread::sleep_for(kBetween);
    TRY(meanwhile());
  }
}

void warn_of_loss(const std::vector<sys::LastWords>& lost, worker::Report& report) {
  if (lost.empty()) return;
  uint64_t bytes = 0;
  for (const sys::LastWords& words : lost) bytes += words.bytes;
  std::string text = std::to_string(bytes) + " bytes that the program had written to " + std::to_string(lost.size()) +
                     " connections it has closed had not arrived; whoever still waits for them sees a reset (" +
                     lost.front().peer + (lost.size() > 1 ? ", ..." : "") + ")";
  report.set_warning(report.warning().empty() ? text : report.warning() + "; " + text);
}

}  // namespace godwit::migration
