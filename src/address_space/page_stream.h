// Pages on the wire: frames of ranges and their bytes, read from one process and written into another.
//
// A pages frame is a head (page_frame.h) and then the bytes of all ranges, at most kChunkBytes; a packed_pages frame
// has {u32 codec, u32 zero} and the compressed bytes instead; a zero_pages frame is the same without bytes, for pages
// that are to be dropped, and so are frames of owed and guarded pages. Little-endian. Nothing is copied between process
// and connection but once each way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "address_space/chunk_sender.h"
#include "address_space/page_filler.h"
#include "address_space/page_frame.h"
#include "address_space/page_shortcuts.h"
#include "address_space/present_pages.h"
#include "address_space/sending_streams.h"
#include "base/result.h"
#include "sys/process_memory.h"
#include "transport/connection.h"

namespace godwit::address_space {

bool all_zero(const std::byte* page);

struct PageCounts {
  uint64_t sent = 0;
  uint64_t zero = 0;  // found all zero, not sent
  uint64_t compressed_bytes = 0, compressed_to_bytes = 0;
  PageCounts& operator+=(const PageCounts& other);
  PageCounts& operator+=(const CompressedBytes& more);
};

// Whose pages are sent.
struct PageOrigin {
  PageOwner owner;
  int here = 0;             // the process's pid here, or a descriptor of the object
  bool over_zeros = false;  // what the destination has there is zero: pages of zeros need not be sent
  PageClass pages = PageClass::anonymous;
  bool operator==(const PageOrigin&) const = default;
};

class PageSender {
 public:
  explicit PageSender(transport::Connection& connection);

  // Whether the program runs: what it unmaps under our eyes is passed by then (see take_unread), and an error
  // otherwise.
  void set_running(bool running) { running_ = running; }
  // Asked after each chunk while the program runs, with the bytes of pages sent so far. False: what is not sent yet is
  // to stay behind, see stopped(). An Error ends the pass.
  using Watch = std::function<Result<bool>(uint64_t sent_bytes)>;
  void set_watch(Watch watch) {
    watch_ = std::move(watch);
    stopped_ = false;
  }
  bool stopped() const { return running_ && stopped_; }
  // From now on pages travel by these connections too; or no longer (nullptr). Requires: flushed, and ordered.
  void travel_by(SendingStreams* streams) { streams_ = streams; }
  // What was sent so far is in place before what is sent on the main connection by others.
  Result<void> order() { return streams_ != nullptr ? streams_->order() : Result<void>(); }
  // From now on pages are read by this, instead of from the process: as many bytes as the ranges have, one after the
  // other.
  using Read = std::function<Result<void>(pid_t pid, std::span<const sys::AddressRange>, std::span<std::byte> into)>;
  void read_by(Read read) { read_ = std::move(read); }
  // Asks the watch, for passes that send nothing.
  Result<void> ask_watch();
  Result<void> send(const PageOrigin& origin, sys::AddressRange range);
  // Sends pages of a memory object, of which `fd` is a descriptor: ranges of offsets and their bytes, at most
  // kChunkBytes, which are not of use afterwards.
  Result<void> send_object(uint32_t object, int fd, std::span<const sys::AddressRange> offsets,
                           std::span<std::byte> bytes);
  // Tells that the object has holes there now.
  Result<void> drop_of_object(uint32_t object, std::span<const sys::AddressRange> offsets) {
    forget(PageOwner::object(object), offsets);
    return send_ranges(transport::FrameType::shared_memory_holes, static_cast<pid_t>(object), offsets);
  }
  // Tells that these ranges are now as they were before anything was written to them.
  Result<void> drop(pid_t pid, std::span<const sys::AddressRange> ranges) {
    forget(PageOwner::process(pid), ranges);
    return send_ranges(transport::FrameType::zero_pages, pid, ranges);
  }
  // Tells that the content of these ranges will come when the program runs at the destination.
  Result<void> owe(pid_t pid, std::span<const sys::AddressRange> ranges) {
    return send_ranges(transport::FrameType::owed_pages, pid, ranges);
  }
  // Tells that these ranges are now guard pages, without content, or are no longer.
  Result<void> guard(pid_t pid, std::span<const sys::AddressRange> ranges) {
    forget(PageOwner::process(pid), ranges);
    return send_ranges(transport::FrameType::guarded_pages, pid, ranges);
  }
  Result<void> unguard(pid_t pid, std::span<const sys::AddressRange> ranges) {
    return send_ranges(transport::FrameType::unguarded_pages, pid, ranges);
  }
  // From now on pages that the destination has already, or nearly, are not sent whole. `shortcuts` outlives this.
  void set_shortcuts(PageShortcuts* shortcuts) { shortcuts_ = shortcuts; }
  // What the destination had there is there no longer, though it was not told: it knows by itself.
  void forget(PageOwner owner, std::span<const sys::AddressRange> ranges) {
    if (shortcuts_ == nullptr) return;
    for (const sys::AddressRange& range : ranges) shortcuts_->forget(owner, range);
  }
  // Sends what has gathered. Call it after the last send().
  Result<void> flush();
  // Forgets what has gathered, of a process that has ended meanwhile.
  void abandon();
  // The pages that were not sent because they are zero, since they were last asked for. Requires: flushed.
  std::vector<sys::AddressRange> take_zeros() { return std::exchange(zeros_, {}); }
  // The ranges that could not be read, since they were last asked for: part of them was not there, the rest may be, and
  // was not sent. Requires: flushed.
  std::vector<sys::AddressRange> take_unread() { return std::exchange(unread_, {}); }
  // But for what further connections compressed.
  PageCounts counts() const {
    PageCounts counts = counts_;
    return counts += chunks_.compressed();
  }

 private:
  Result<void> gather(sys::AddressRange range);
  Result<std::vector<sys::AddressRange>> read(std::vector<sys::AddressRange> ranges, size_t wanted);
  Result<void> send_ranges(transport::FrameType type, pid_t pid, std::span<const sys::AddressRange> ranges);
  double page_seconds() const;
  bool takes_shortcut(const PageOrigin& origin, uint64_t page, std::span<const std::byte, kPageBytes> content);
  Result<void> send_worthwhile(const PageOrigin& origin, std::span<const sys::AddressRange> ranges,
                               std::span<std::byte> bytes);
  Result<void> send_pages(const PageOrigin& origin, std::span<const sys::AddressRange> ranges,
                          std::span<const std::byte> bytes);

  transport::Connection& connection_;
  std::vector<std::byte> buffer_;
  std::vector<sys::AddressRange> ranges_;
  size_t gathered_ = 0;  // bytes
  PageOrigin origin_;
  Read read_;
  bool running_ = false;
  bool stopped_ = false;
  Watch watch_;
  std::vector<sys::AddressRange> zeros_;
  std::vector<sys::AddressRange> unread_;
  PageCounts counts_;
  ChunkSender chunks_{connection_};
  SendingStreams* streams_ = nullptr;
  PageShortcuts* shortcuts_ = nullptr;
};

// Where received pages go.
class PageReceiver {
 public:
  using Put = PageFiller::Put;
  using FindObject = std::function<Result<int>(uint32_t)>;  // -1: what comes of it is passed by
  using Drop = std::function<Result<void>(pid_t, std::span<const sys::AddressRange>)>;
  PageReceiver(transport::Connection& connection, Put put, FindObject object, Drop drop);
  // From now on the program runs: pages are put by a thread beside the one that receives them, where there are
  // processors for both, and whoever waits for this one is given way. Or no longer: everything is done at once.
  Result<void> put_beside();
  Result<void> put_at_once();

  // From now on pages may come as references and differences too. `present` outlives this.
  void set_present(PresentPages* present) { present_ = present; }

  // Tells the source of pages that it referred to in vain.
  Result<void> tell_lacking() { return present_ == nullptr ? Result<void>() : present_->tell_lacking(connection_); }
  bool lacks() const { return present_ != nullptr && present_->lacks(); }

  // Whether receive_pages() takes such a frame.
  static bool takes(transport::FrameType type) {
    return type == transport::FrameType::pages || type == transport::FrameType::packed_pages ||
           (PresentPages::takes(type) && !is_of_object(type));
  }
  // Takes the payload of a frame whose header has just been read. Where they are put beside it they are in place after
  // settle().
  Result<void> receive_pages(transport::FrameHeader header);
  Result<void> settle() { return filler_ ? filler_->settle() : Result<void>(); }
  Result<void> receive_drop(uint32_t length);
  // Ranges without bytes, as PageSender::owe() and guard() tell them.
  Result<void> receive_ranges(uint32_t length, const Drop& told);
  // Pages of a memory object, or holes in it; nothing behind its end.
  static bool takes_object(transport::FrameType type) { return is_of_object(type); }
  Result<void> receive_object(transport::FrameHeader header);

 private:
  Result<std::span<std::byte>> receive_content(transport::FrameType type, PagesFrame& frame, std::span<std::byte> into);
  Result<void> receive_packed(size_t length, std::span<std::byte> into);

  transport::Connection& connection_;
  Put put_;
  FindObject object_;
  Drop drop_;
  PresentPages* present_ = nullptr;
  std::vector<std::byte> buffer_;
  std::unique_ptr<PageFiller> filler_;
  bool running_ = false;  // the program, meanwhile
  transport::Compressor compressor_;
  std::vector<std::byte> packed_;
};

// Frames of ranges without bytes, as many as it takes; what each of them tells.
Result<void> send_ranges(transport::Connection& connection, transport::FrameType type, pid_t pid,
                         std::span<const sys::AddressRange> ranges);
Result<void> receive_ranges(transport::Connection& connection, uint32_t length, const PageReceiver::Drop& told);

}  // namespace godwit::address_space
