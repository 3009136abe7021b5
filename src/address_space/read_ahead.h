// ReadAhead: how many pages are fetched with one that a program waits for (post-copy), as the program's own way through
// its memory shows that they are used. Plain value; one for each process that pages are owed to.
//
// Each fetch is a window of pages, and one page in its midst is its marker, which its owner does not put in place: the
// program's fault there is the sign that the window is used, and the time to fetch the next one, which is twice as
// long. A window that many others have followed without that sign was of no use. Signs lengthen the first window of a
// new stretch, their absence shortens it, but not to less than comes in the time that the program waits for a page
// anyway: one that jumps about comes to the neighbours later, and that is cheaper than to ask again. The idea of a
// marker is that of Linux mm/readahead.c for files.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "sys/process_memory.h"

namespace godwit::address_space {

class ReadAhead {
 public:
  static constexpr uint64_t kFewestPages = 1, kMostPages = 256;

  // The program waits for the page at `page`: what to fetch from there; nothing when it is on its way.
  std::optional<sys::AddressRange> fetch(uint64_t page);
  // The program has come to the marker of a window: what to fetch now, for nobody waits yet.
  std::optional<sys::AddressRange> came_to(uint64_t page);
  // What an answer took: the program waited for its first page, then the others came.
  void note_answer(std::chrono::nanoseconds waited, uint64_t others, std::chrono::nanoseconds they_took);
  // Nothing is on its way any more.
  void forget_windows() { windows_ = {}; }
  // Whether that page is the marker of a window that the program has not come to.
  bool is_marker(uint64_t page) const;

  // Pages fetched that nobody had waited for; of them, those of windows that the program was seen to use.
  uint64_t pages_ahead() const { return ahead_; }
  uint64_t pages_ahead_used() const { return used_; }

 private:
  struct Window {
    uint64_t start = 0, end = 0;
    uint64_t ahead = 0;  // pages
    bool used = true;    // or empty
    uint64_t pages() const;
    uint64_t marker() const;  // 0: too short for one
  };
  Window* holding(uint64_t page);
  Window* ended_by(uint64_t page);
  void found_used(Window& window);
  sys::AddressRange open(uint64_t start, uint64_t pages, bool waited_for);

  static constexpr size_t kWindows = 32;
  static constexpr uint64_t kFirstPages = 16;
  std::array<Window, kWindows> windows_;
  size_t oldest_ = 0;
  uint64_t first_pages_ = kFirstPages;  // of a window where there was none
  uint64_t least_pages_ = kFewestPages;
  double wait_ns_ = 0, page_ns_ = 0;  // for a first page; for each of the others
  uint64_t ahead_ = 0, used_ = 0;
};

}  // namespace godwit::address_space
