// Memory of the kind that a test asks for: the program's own, or of a memory object of the kernel's.
#pragma once

#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "check.h"

// "private" (the argument may be lacking), "shared", "memfd" or "segment". A memfd stays open.
static inline void* memory_of(const char* kind, unsigned long bytes) {
  void* at = MAP_FAILED;
  if (kind == NULL || strcmp(kind, "private") == 0) {
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  } else if (strcmp(kind, "shared") == 0) {
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  } else if (strcmp(kind, "memfd") == 0) {
    int memfd = memfd_create("memory", 0);
    CHECK(memfd >= 0 && ftruncate(memfd, (off_t)bytes) == 0);
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  } else if (strcmp(kind, "segment") == 0) {
    int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
    CHECK(id >= 0);
    at = shmat(id, NULL, 0);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
  }
  CHECK(at != MAP_FAILED);
  return at;
}
