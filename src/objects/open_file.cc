// Regular files, directories, character devices and memfds: what open(2) gives and a path names (memfds have a name
// too).
#include <fcntl.h>

#include "objects/description.h"
#include "sys/file.h"

namespace godwit::objects {

uint32_t status_flags(uint32_t flags) {
  constexpr uint32_t kKept = O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECT | O_SYNC | O_NOATIME | O_ASYNC | O_PATH;
  return flags & kKept;
}

namespace {

bool may_write(uint32_t flags) { return (flags & O_ACCMODE) != O_RDONLY; }

std::optional<Unsupported> none() { return std::nullopt; }

}  // namespace

Captured capture_file(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  into.set_flags(open.info.flags);
  if (open.link.starts_with("/memfd:")) {
    into.mutable_memory_file()->set_shared_memory(TRY(tools.shared_memory.add_memfd(open.copy.get(), open.link)));
    into.mutable_memory_file()->set_offset(open.info.position);
    return none();
  }
  files::FileUse use{.written = S_ISREG(open.status.st_mode) && may_write(open.info.flags)};
  uint32_t file = TRY(tools.files.add(open.copy.get(), open.link, use));
  if (S_ISREG(open.status.st_mode)) {
    const image::File& known = tools.files.get(file);
    if (known.page_bytes() != 0) TRY(tools.shared_memory.add_pool_file(open.copy.get(), known));
    into.mutable_regular_file()->set_file(file);
    into.mutable_regular_file()->set_offset(open.info.position);
    return none();
  }
  if (S_ISDIR(open.status.st_mode)) {
    into.mutable_directory()->set_file(file);
    into.mutable_directory()->set_offset(open.info.position);
    return none();
  }
  constexpr unsigned kMemoryDevices = 1;  // null, zero, full, random, urandom: Documentation/admin-guide/devices.txt
  constexpr unsigned kTerminals = 5;      // /dev/tty, handled with the controlling terminal
  unsigned major = static_cast<unsigned>(open.status.st_rdev >> 8 & 0xfff);
  if (major != kMemoryDevices && major != kTerminals) {
    return Unsupported{"descriptor.device", "device " + open.link, "have the program close it before the move"};
  }
  into.mutable_character_device()->set_file(file);
  into.mutable_character_device()->set_offset(open.info.position);
  return none();
}

Result<UniqueFd> restore_file(const image::Description& description, RestoreTools& tools) {
  int flags = static_cast<int>(status_flags(description.flags()));
  if (description.has_memory_file()) {
    int object = TRY(tools.shared_memory.fd_of(description.memory_file().shared_memory()));
    UniqueFd fd = TRY(sys::reopen(object, flags & (O_ACCMODE | O_APPEND | O_NONBLOCK)));
    TRY(sys::seek_to(fd.get(), description.memory_file().offset()));
    return fd;
  }
  if (description.has_character_device()) return tools.opener.open(description.character_device().file(), flags);
  bool is_directory = description.has_directory();
  uint32_t file = is_directory ? description.directory().file() : description.regular_file().file();
  uint64_t offset = is_directory ? description.directory().offset() : description.regular_file().offset();
  UniqueFd fd = tools.ready.take(description);
  if (!fd.valid()) fd = TRY(tools.opener.open(file, is_directory ? flags | O_DIRECTORY : flags));
  if ((flags & O_PATH) == 0 && offset != 0) TRY(sys::seek_to(fd.get(), offset));
  return fd;
}

}  // namespace godwit::objects
