// Processor time of the calling thread. Source: clock_gettime(2), CLOCK_THREAD_CPUTIME_ID.
#pragma once

#include <chrono>

namespace godwit::sys {

std::chrono::nanoseconds thread_processor_time();

}  // namespace godwit::sys
