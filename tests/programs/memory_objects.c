// memfd (with seals), POSIX shared memory, System V shared memory; mapped, and shared with a child.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "check.h"

int main(int count, char** arguments) {
  begin(count, arguments);
  int memfd = memfd_create("numbers", MFD_ALLOW_SEALING);
  CHECK(memfd >= 0 && ftruncate(memfd, 1 << 20) == 0);
  unsigned* numbers = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  CHECK(numbers != MAP_FAILED && fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
  for (unsigned i = 0; i < (1 << 18); i += 1000) numbers[i] = i ^ 0x5555;
  int id = shmget(IPC_PRIVATE, 20000, IPC_CREAT | 0600);
  CHECK(id >= 0);
  volatile unsigned* segment = shmat(id, NULL, 0);
  CHECK(segment != (void*)-1);
  segment[100] = 77;
  pid_t child = fork();
  if (child == 0) {
    while (!told_to_stop()) {
      __atomic_add_fetch(&numbers[1], 1, __ATOMIC_SEQ_CST);
      __atomic_add_fetch(&segment[1], 1, __ATOMIC_SEQ_CST);
      pause_ms(1);
    }
    _exit(0);
  }
  ready();
  unsigned seen = 0, segment_seen = 0;
  while (!told_to_stop()) {
    for (unsigned i = 0; i < (1 << 18); i += 1000) CHECK(numbers[i] == (i ^ 0x5555));
    CHECK(numbers[1] >= seen && segment[1] >= segment_seen && segment[100] == 77);
    unsigned now = numbers[1], word;
    CHECK(pread(memfd, &word, 4, 4) == 4 && word >= now);
    seen = now;
    segment_seen = segment[1];
    pause_ms(4);
  }
  CHECK(waitpid(child, NULL, 0) == child && seen > 5 && segment_seen > 5);
  CHECK(fcntl(memfd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW) && ftruncate(memfd, 10) == -1);
  struct shmid_ds settings;
  CHECK(shmctl(id, IPC_STAT, &settings) == 0 && settings.shm_segsz == 20000 && shmctl(id, IPC_RMID, NULL) == 0);
  return pass();
}
