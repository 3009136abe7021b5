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

Result<freeze::SeizedTree> stop_quiet(Inventory& inventory, const worker::JobPlace& place,
                                      forwarding::HeldPackets& packets) {
  constexpr std::chrono::milliseconds kBetween(2);
  constexpr int kTries = 100;
  for (int tries = 1;; ++tries) {
    freeze::SeizedTree tree = TRY(stop_all(inventory, place));
    TRY(packets.hold());  // before the look: a packet may bring a connection
    bool last = tries == kTries;
    if (!inventory.has_unread(last)) return tree;
    TRY(inventory.note_calls(tree));
    if (last) {
      return error(ErrorKind::retry,
                   "the program does not read or accept what waits for it (inotify events, netlink messages, "
                   "connections); try again when it has done so");
    }
    packets.let_go();
    tree.let_go();
    std::this_thread::sleep_for(kBetween);
  }
}

}  // namespace godwit::migration
