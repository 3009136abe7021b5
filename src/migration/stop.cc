#include "migration/stop.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "objects/last_words.h"
#include "objects/tcp_connection.h"

namespace godwit::migration {

Result<freeze::SeizedTree> stop_all(Inventory& inventory, const worker::JobPlace& place) {
  constexpr std::chrono::seconds kPatience(30);
  TRY(inventory.note_waits());
  return freeze::SeizedTree::seize(
      place.cgroup() + "/procs", place.init_pid(), [&] { return inventory.none_born(); },
      std::chrono::steady_clock::now() + kPatience);
}

namespace {

bool is_within(const sys::LastWords& words) { return objects::is_within_job(words.local, words.peer); }

// A stopped program adds nothing to it, and reads nothing of it; peers that read take it within a round trip.
std::vector<sys::LastWords> let_last_words_arrive(objects::SocketCapture& sockets, std::chrono::microseconds patience) {
  constexpr std::chrono::microseconds kBetween(100);
  auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto words = sockets.last_words();
    if (!words) return {};  // a kernel that does not tell
    bool no_use = std::ranges::all_of(*words, is_within) || std::chrono::steady_clock::now() > until;
    if (no_use) return std::move(*words);
    std::this_thread::sleep_for(kBetween);
  }
}

// Those within the job need nothing that has to be loaded; but one that nobody has accepted yet cannot.
bool can_move(const std::vector<sys::LastWords>& words, bool prepared, int tries) {
  constexpr int kTriesToBeAccepted = 3;
  bool within = std::ranges::any_of(words, is_within), all_within = std::ranges::all_of(words, is_within);
  return words.size() <= objects::kMostLastWords && (prepared || all_within) &&
         (!within || tries >= kTriesToBeAccepted);
}

bool are_some(objects::SocketCapture& sockets) {
  auto words = sockets.last_words();
  return words && !words->empty();
}

}  // namespace

Result<QuietStop> stop_quiet(Inventory& inventory, const worker::JobPlace& place, objects::SocketCapture& sockets,
                             forwarding::HeldPackets& packets, const std::function<Result<void>()>& meanwhile) {
  constexpr std::chrono::milliseconds kBetween(2);
  constexpr std::chrono::microseconds kPatience(3000), kPatienceIfTheyMove(500);
  constexpr int kTries = 100, kTriesForLastWords = 30, kTriesForTheSame = 3;
  bool prepared = are_some(sockets) && sockets.sees_numbers();
  std::vector<sys::LastWords> before;
  int same = 0;  // how often in a row nobody has taken anything
  for (int tries = 1;; ++tries) {
    freeze::SeizedTree tree = TRY(stop_all(inventory, place));
    std::vector<sys::LastWords> words = let_last_words_arrive(
        sockets, prepared ? kPatienceIfTheyMove : kPatience);  // before what acknowledges them is held
    same = words == before ? same + 1 : 0;
    bool arrived =
        words.empty() || can_move(words, prepared, tries) || tries >= kTriesForLastWords || same >= kTriesForTheSame;
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
    prepared = prepared || (!words.empty() && sockets.sees_numbers());
    before = std::move(words);
    std::this_thread::sleep_for(kBetween);
    TRY(meanwhile());
  }
}

void warn_of_loss(const std::vector<sys::LastWords>& lost, const std::string& why, worker::Report& report) {
  if (lost.empty()) return;
  uint64_t bytes = 0;
  for (const sys::LastWords& words : lost) bytes += words.bytes;
  std::string text = std::to_string(bytes) + " bytes that the program had written to " + std::to_string(lost.size()) +
                     " connections it has closed had not arrived; whoever still waits for them sees a reset (" +
                     sys::name_of(lost.front().peer) + (lost.size() > 1 ? ", ..." : "") + ")" +
                     (why.empty() ? "" : ": " + why);
  report.set_warning(report.warning().empty() ? text : report.warning() + "; " + text);
}

}  // namespace godwit::migration
