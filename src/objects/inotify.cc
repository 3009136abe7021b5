// inotify instances: watches under their numbers. Unread events cannot be put back into a queue: they are waited for
// (see migration/stop.h), and when the program never reads all of them the move is called off. What others change
// after the stop and before the watches are set anew, on a file that both nodes share, is not told of. Source:
// inotify(7), proc_pid_fdinfo(5), Linux fs/notify/inotify.
#include <fcntl.h>
#include <sys/inotify.h>

#include <algorithm>

#include "files/owner_rights.h"
#include "objects/description.h"
#include "sys/kernel_objects.h"

namespace godwit::objects {

Captured capture_inotify(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  into.set_flags(open.info.flags);
  for (const proc::FdInfo::InotifyWatch& watch : open.info.inotify_watches) {
    auto file = TRY(tools.files.add_by_handle(watch.device, watch.inode, watch.handle_type, watch.handle));
    if (!file) {
      return Unsupported{"descriptor.inotify", "an inotify watch of a file that cannot be found by a name",
                         "have the program remove it before the move"};
    }
    image::InotifyWatch& told = *into.mutable_inotify()->add_watches();
    told.set_watch(watch.watch);
    told.set_mask(watch.mask & (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT));
    told.set_file(*file);
  }
  into.mutable_inotify();
  std::ranges::sort(*into.mutable_inotify()->mutable_watches(), {}, [](const auto& watch) { return watch.watch(); });
  tools.to_be_read.push_back({open.pidfd, open.number, open.link, false});
  return std::optional<Unsupported>();
}

Result<UniqueFd> restore_inotify(const image::Description& description, RestoreTools&) {
  return sys::make_inotify(static_cast<int>(description.flags() & O_NONBLOCK));
}

Result<void> watch_again(int inotify, const image::Inotify& state, files::Opener& opener, const files::Owner& owner) {
  for (const image::InotifyWatch& watch : state.watches()) {
    bool sound = watch.watch() > 0 && (watch.mask() & IN_ALL_EVENTS) != 0 &&
                 (watch.mask() & ~uint32_t{IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT}) == 0;
    if (!sound) return error(ErrorKind::corrupt, "an impossible inotify watch");
    UniqueFd fd = TRY(opener.open(watch.file(), O_PATH));
    files::AsOwner as_owner(owner);
    TRY(sys::add_inotify_watch(inotify, watch.watch(), fd.get(), watch.mask()).within(opener.path(watch.file())));
  }
  return {};
}

}  // namespace godwit::objects
