// Memory that several processes share and go on writing: anonymous memory inherited from the parent, a memfd that is
// only mapped and one that is written through its descriptor too. Each worker counts in its own stripe of pages;
// children that live for a moment write as well; parts are given up (MADV_REMOVE), mapped a second time, unmapped, and
// forgotten by one process alone (MADV_DONTNEED), which loses nothing.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "check.h"

enum { PAGE = 4096, PAGES = 4096, WORKERS = 8, OBJECTS = 3, STRIPE = PAGES / (WORKERS + 1) };
static const size_t object_bytes = (size_t)PAGES * PAGE;
static unsigned long* objects[OBJECTS];
static int descriptor;  // of the last
static unsigned long seed;

static unsigned long pick(unsigned long below) {
  seed = seed * 6364136223846793005ul + 1442695040888963407ul;
  return (seed >> 33) % below;
}
static unsigned long* word_of(int object, unsigned long page) {
  return objects[object] + page * (PAGE / 8) + page % 512;
}

// The pages of one writer, and what it has written there last: nobody else writes to them.
struct stripe {
  unsigned long first;
  unsigned long versions[OBJECTS][STRIPE];
};
static void verify(struct stripe* stripe) {
  for (int object = 0; object < OBJECTS; object++) {
    for (unsigned long i = 0; i < STRIPE; i++) {
      CHECK(*word_of(object, stripe->first + i) == stripe->versions[object][i]);
    }
  }
}
static void write_page(struct stripe* stripe, int object, unsigned long i) {
  unsigned long version = ++stripe->versions[object][i];
  unsigned long* word = word_of(object, stripe->first + i);
  if (object == OBJECTS - 1 && pick(2) == 0) {
    CHECK(pwrite(descriptor, &version, sizeof version, (char*)word - (char*)objects[object]) == sizeof version);
  } else {
    *word = version;
  }
}
static void write_some(struct stripe* stripe, int count) {
  while (count-- > 0) write_page(stripe, (int)pick(OBJECTS), pick(STRIPE));
}
static void give_up_page(struct stripe* stripe) {
  int object = (int)pick(OBJECTS);
  unsigned long i = pick(STRIPE);
  CHECK(madvise(objects[object] + (stripe->first + i) * (PAGE / 8), PAGE, MADV_REMOVE) == 0);
  stripe->versions[object][i] = 0;
}
// Writes by way of a second mapping of the same memory that is there for a moment only.
static void write_elsewhere(struct stripe* stripe) {
  unsigned long i = pick(STRIPE);
  unsigned long* page =
      mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, (off_t)((stripe->first + i) * PAGE));
  CHECK(page != MAP_FAILED);
  page[(stripe->first + i) % 512] = ++stripe->versions[OBJECTS - 1][i];
  CHECK(munmap(page, PAGE) == 0);
}
static void forget_alone(void) {
  CHECK(madvise(objects[pick(OBJECTS)] + pick(PAGES / 512) * 512 * (PAGE / 8), 2 << 20, MADV_DONTNEED) == 0);
}
static void work(int worker) {
  static struct stripe stripe;
  stripe.first = (unsigned long)worker * STRIPE;
  seed = (unsigned long)worker + 1;
  while (!told_to_stop()) {
    verify(&stripe);
    write_some(&stripe, 20);
    if (pick(10) == 0) give_up_page(&stripe);
    if (pick(10) == 0) write_elsewhere(&stripe);
    if (pick(20) == 0) forget_alone();
    pause_ms(2);
  }
  verify(&stripe);
  _exit(0);
}

int main(int count, char** arguments) {
  begin(count, arguments);
  objects[0] = mmap(NULL, object_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int object = 1; object < OBJECTS; object++) {
    descriptor = memfd_create("shared", MFD_CLOEXEC);
    CHECK(descriptor >= 0 && ftruncate(descriptor, (off_t)object_bytes) == 0);
    objects[object] = mmap(NULL, object_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (object < OBJECTS - 1) close(descriptor);
  }
  for (int object = 0; object < OBJECTS; object++) CHECK(objects[object] != MAP_FAILED);
  pid_t workers[WORKERS];
  for (int worker = 0; worker < WORKERS; worker++) {
    workers[worker] = fork();
    CHECK(workers[worker] >= 0);
    if (workers[worker] == 0) work(worker);
  }
  struct stripe* own = mmap(NULL, sizeof *own, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(own != MAP_FAILED);
  own->first = WORKERS * STRIPE;
  ready();
  while (!told_to_stop()) {
    verify(own);
    pid_t child = fork();  // writes in our place, and is gone
    CHECK(child >= 0);
    if (child == 0) {
      write_some(own, 5);
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    verify(own);
    pause_ms(count > 2 ? 500 : 3);
  }
  for (int worker = 0; worker < WORKERS; worker++) {
    int status;
    CHECK(waitpid(workers[worker], &status, 0) == workers[worker] && status == 0);
  }
  return pass();
}
