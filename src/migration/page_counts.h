// What the report of a move says of its pages.
#pragma once

#include "godwit/worker.pb.h"
#include "migration/departing_host.h"

namespace godwit::migration {

// `server`: of post-copy, or nothing.
void count_pages(const DepartingHost& memory, const address_space::PageServer* server,
                 const address_space::SendingStreams& streams, worker::Report& report);

}  // namespace godwit::migration
