#include "migration/quiet_stop.h"

#include <chrono>
#include <thread>

namespace godwit::migration {

Result<freeze::SeizedTree> stop_quiet(Inventory& inventory, const worker::JobPlace& place) {
  constexpr std::chrono::seconds kPatience(30);
  constexpr std::chrono::milliseconds kBetween(2);
  constexpr int kTries = 100;
  for (int tries = 1;; ++tries) {
    TRY(inventory.note_waits());
    freeze::SeizedTree tree = TRY(freeze::SeizedTree::seize(place.cgroup() + "/procs", place.init_pid(),
                                                            std::chrono::steady_clock::now() + kPatience));
    bool last = tries == kTries;
    if (!inventory.has_unread(last)) return tree;
    TRY(inventory.note_calls(tree));
    if (last) {
      return error(ErrorKind::retry,
                   "the program does not read all that the kernel tells it (inotify events, netlink messages); try again "
                   "when it has read them");
    }
    tree.let_go();
    std::this_thread::sleep_for(kBetween);
  }
}

}  // namespace godwit::migration
