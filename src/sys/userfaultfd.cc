#include "sys/userfaultfd.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys/errno.h"

namespace godwit::sys {

namespace {

// include/uapi/linux/userfaultfd.h of Linux 6.7; the headers of Debian 12 are older.
constexpr uint64_t kWriteProtectHugetlbAndShmem = 1 << 12;
constexpr uint64_t kWriteProtectUnpopulated = 1 << 13;
constexpr uint64_t kWriteProtectAsync = 1 << 15;

Result<void> begin(int fd, uint64_t features) {
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = features;
  if (::ioctl(fd, UFFDIO_API, &api) < 0) return last_error("ioctl(UFFDIO_API)");
  return {};
}

Result<void> register_range(int fd, AddressRange range, uint64_t mode) {
  uffdio_register request{};
  request.range = {range.start, range.size()};
  request.mode = mode;
  if (::ioctl(fd, UFFDIO_REGISTER, &request) < 0) return last_error("ioctl(UFFDIO_REGISTER)");
  return {};
}

}  // namespace

Result<Userfaultfd> Userfaultfd::for_write_tracking(UniqueFd fd) {
  TRY(begin(fd.get(), kWriteProtectAsync | kWriteProtectUnpopulated | kWriteProtectHugetlbAndShmem));
  return Userfaultfd(std::move(fd));
}

Result<Userfaultfd> Userfaultfd::for_missing_pages(UniqueFd fd) {
  TRY(begin(fd.get(), UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |
                          UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_MISSING_SHMEM));
  return Userfaultfd(std::move(fd));
}

Result<Userfaultfd> Userfaultfd::for_filling(UniqueFd fd) {
  TRY(begin(fd.get(), 0));
  return Userfaultfd(std::move(fd));
}

Result<void> Userfaultfd::track_writes(AddressRange range) const {
  return register_range(fd_.get(), range, UFFDIO_REGISTER_MODE_WP);
}

Result<void> Userfaultfd::lift(AddressRange range) const {
  uffdio_writeprotect lift{{range.start, range.size()}, 0};
  if (::ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &lift) < 0) return last_error("ioctl(UFFDIO_WRITEPROTECT)");
  return {};
}

Result<void> Userfaultfd::protect(AddressRange range) const {
  uffdio_writeprotect protect{{range.start, range.size()}, UFFDIO_WRITEPROTECT_MODE_WP};
  if (::ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &protect) < 0) return last_error("ioctl(UFFDIO_WRITEPROTECT)");
  return {};
}

Result<void> Userfaultfd::watch_missing(AddressRange range) const {
  return register_range(fd_.get(), range, UFFDIO_REGISTER_MODE_MISSING);
}

Result<void> Userfaultfd::forget(AddressRange range) const {
  uffdio_range request{range.start, range.size()};
  if (::ioctl(fd_.get(), UFFDIO_UNREGISTER, &request) < 0) return last_error("ioctl(UFFDIO_UNREGISTER)");
  return {};
}

Result<size_t> Userfaultfd::copy(uint64_t address, std::span<const std::byte> bytes) const {
  uffdio_copy request{};
  request.dst = address;
  request.src = reinterpret_cast<uint64_t>(bytes.data());
  request.len = bytes.size();
  int result = ::ioctl(fd_.get(), UFFDIO_COPY, &request);
  if (result == 0 || request.copy > 0) return static_cast<size_t>(request.copy);
  if (errno == EEXIST) return size_t{0};
  return last_error("ioctl(UFFDIO_COPY)");
}

Result<size_t> Userfaultfd::put_zeros(AddressRange range) const {
  uffdio_zeropage request{};
  request.range = {range.start, range.size()};
  int result = ::ioctl(fd_.get(), UFFDIO_ZEROPAGE, &request);
  if (result == 0 || request.zeropage > 0) return static_cast<size_t>(request.zeropage);
  if (errno == EEXIST) return size_t{0};
  return last_error("ioctl(UFFDIO_ZEROPAGE)");
}

Result<void> Userfaultfd::wake(AddressRange range) const {
  uffdio_range request{range.start, range.size()};
  if (::ioctl(fd_.get(), UFFDIO_WAKE, &request) < 0) return last_error("ioctl(UFFDIO_WAKE)");
  return {};
}

Result<std::optional<Userfaultfd::Event>> Userfaultfd::next() const {
  uffd_msg message;
  ssize_t got = ::read(fd_.get(), &message, sizeof message);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::optional<Event>();
  if (got < 0) return last_error("read", "userfaultfd");
  if (got != sizeof message) return error(ErrorKind::gone, "the address space of a userfaultfd is gone");
  Event event{};
  switch (message.event) {
    case UFFD_EVENT_PAGEFAULT:
      event.kind = Event::Kind::missing;
      event.address = message.arg.pagefault.address;
      break;
    case UFFD_EVENT_FORK:
      event.kind = Event::Kind::fork;
      event.child = UniqueFd(static_cast<int>(message.arg.fork.ufd));
      break;
    case UFFD_EVENT_REMAP:
      event.kind = Event::Kind::remap;
      event.address = message.arg.remap.from;
      event.to = message.arg.remap.to;
      event.range = {message.arg.remap.from, message.arg.remap.from + message.arg.remap.len};
      break;
    case UFFD_EVENT_REMOVE:
    case UFFD_EVENT_UNMAP:
      event.kind = message.event == UFFD_EVENT_REMOVE ? Event::Kind::removed : Event::Kind::unmapped;
      event.range = {message.arg.remove.start, message.arg.remove.end};
      break;
    default: return error(ErrorKind::unsupported, "an unknown userfaultfd event");
  }
  return std::optional<Event>(std::move(event));
}

}  // namespace godwit::sys
