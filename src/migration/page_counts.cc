#include "migration/page_counts.h"

#include "sys/residency.h"

namespace godwit::migration {

void count_pages(const DepartingHost& memory, const address_space::PageServer* server,
                 const address_space::SendingStreams& streams, worker::Report& report) {
  address_space::PageCounts counts = memory.counts();
  if (server != nullptr) counts += server->counts();
  counts += streams.compressed();
  report.set_streams(streams.streams());
  const address_space::PageShortcuts::Counts& shortcuts = memory.shortcuts();
  report.set_compressed_bytes(counts.compressed_bytes);
  report.set_compressed_to_bytes(counts.compressed_to_bytes);
  report.set_peak_memory_bytes(sys::peak_memory_bytes());
  report.set_pages_sent(counts.sent);
  report.set_pages_zero(counts.zero);
  uint64_t redundant = memory.redundant_pages() + (server != nullptr ? server->pages_on_request_again() : 0);
  report.set_pages_redundant(redundant);
  report.set_pages_identical(shortcuts.identical);
  report.set_pages_cached(shortcuts.cached);
  report.set_pages_by_delta(shortcuts.by_delta);
  report.set_delta_bytes(shortcuts.delta_bytes);
  report.set_pages_total(counts.sent + counts.zero + shortcuts.identical + shortcuts.cached - redundant);
}

}  // namespace godwit::migration
