// Protection keys (pkeys(7)): memory of a key can be touched as each thread's own rights say, a key that was given back
// is the next to be had, those in use are not. Where the processor has none: nothing.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "check.h"

enum { PAGE = 4096 };
static sigjmp_buf touched;
static volatile int key_of_fault;
static volatile char* area;  // three pages: without a key, closed, read-only
static int closed_key, fixed_key;

static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  key_of_fault = info->si_code == SEGV_PKUERR ? (int)info->si_pkey : -1;
  siglongjmp(touched, 1);
}
// A handler begins with rights of its own, and those stay when it is left by a jump.
static unsigned rights(void) {
  unsigned low, high;
  __asm__ volatile("rdpkru" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}
static void set_rights(unsigned rights) { __asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0)); }
static int may_read(volatile char* place) {
  volatile unsigned before = rights();
  if (sigsetjmp(touched, 1) != 0) {
    set_rights(before);
    return 0;
  }
  (void)*place;
  return 1;
}
static int may_write(volatile char* place) {
  volatile unsigned before = rights();
  if (sigsetjmp(touched, 1) != 0) {
    set_rights(before);
    return 0;
  }
  *place = *place;
  return 1;
}
static void verify(void) {
  CHECK(may_write(area));
  CHECK(!may_read(area + PAGE) && key_of_fault == closed_key);
  CHECK(may_read(area + 2 * PAGE) && area[2 * PAGE] == 3);
  CHECK(!may_write(area + 2 * PAGE) && key_of_fault == fixed_key);
  CHECK(pkey_get(closed_key) == PKEY_DISABLE_ACCESS && pkey_get(fixed_key) == PKEY_DISABLE_WRITE);
}
// Has rights of its own, and reads what the main thread may not. Faults are the main thread's business alone.
static void* other_thread(void* unused) {
  (void)unused;
  CHECK(pkey_set(closed_key, 0) == 0);
  for (; !told_to_stop(); pause_ms(2)) CHECK(area[PAGE] == 2 && pkey_get(closed_key) == 0);
  return NULL;
}

int main(int count, char** arguments) {
  begin(count, arguments);
  int given_back = pkey_alloc(0, 0);
  if (given_back < 0) {
    dprintf(1, "this processor has no protection keys\n");
    ready();
    while (!told_to_stop()) pause_ms(10);
    return pass();
  }
  closed_key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
  fixed_key = pkey_alloc(0, PKEY_DISABLE_WRITE);
  int unused_key = pkey_alloc(0, 0);
  CHECK(closed_key > 0 && fixed_key > 0 && unused_key > 0 && pkey_free(given_back) == 0);
  area = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(area != MAP_FAILED);
  area[0] = 1, area[PAGE] = 2, area[2 * PAGE] = 3;
  CHECK(pkey_mprotect((void*)(area + PAGE), PAGE, PROT_READ | PROT_WRITE, closed_key) == 0);
  CHECK(pkey_mprotect((void*)(area + 2 * PAGE), PAGE, PROT_READ | PROT_WRITE, fixed_key) == 0);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
  // The kernel takes a key by itself for memory that may only be executed: the one that was given back.
  unsigned char* code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(code != MAP_FAILED);
  memcpy(code, "\xb8\x2a\x00\x00\x00\xc3", 6);  // return 42
  CHECK(mprotect(code, PAGE, PROT_EXEC) == 0);
  int (*call)(void);
  memcpy(&call, &code, sizeof call);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0);
  ready();
  do {
    verify();
    CHECK(call() == 42);
    pause_ms(2);
  } while (!told_to_stop());
  CHECK(!may_read((char*)code) && key_of_fault == given_back);
  CHECK(pthread_join(thread, NULL) == 0);
  int next = pkey_alloc(0, 0);
  CHECK(next > unused_key);
  CHECK(pkey_mprotect((void*)area, PAGE, PROT_READ | PROT_WRITE, unused_key) == 0 && may_write(area));
  CHECK(pkey_set(closed_key, 0) == 0 && may_read(area + PAGE) && area[PAGE] == 2);
  return pass();
}
