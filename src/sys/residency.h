// Residency: the process's own memory is there before it is needed. While a program is frozen its every first touch of
// a page of ours (code, heap, stack) would be a page fault that the program waits for: 12 us each on a virtual machine
// with shadow page tables, and there were fifty.
#pragma once

#include <cstddef>

namespace godwit::sys {

// From here on the allocator gives nothing back to the kernel: the process keeps the largest extent it ever had.
// It has one heap for all threads, so that what one has used another finds. Source: mallopt(3).
void keep_heap();

// The allocator has that much at hand which was touched already.
void touch_heap(size_t bytes);

// Touches that much of the calling thread's stack below here.
void touch_stack(size_t bytes);

// The code of the program and its libraries. Each page is read as well: with shadow page tables a page that the kernel
// has mapped still costs an exit to the hypervisor when it is first touched. Source: madvise(2) MADV_POPULATE_READ,
// Linux 5.14; without it nothing.
void populate_code();

// The most that this process ever had in memory, its libraries included: getrusage(2), ru_maxrss.
size_t peak_memory_bytes();

}  // namespace godwit::sys
