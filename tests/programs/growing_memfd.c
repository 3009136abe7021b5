// A memfd that grows by a few bytes at a time, beside so much memory that it has grown by pages before it is looked at.
#include "kinds.h"

enum { MOST = 4 << 20, PIECE = 100, BESIDE = 64 << 20 };

static unsigned char byte_at(long at) { return (unsigned char)(at * 31 + at / 4096 + 1); }

static void append(int memfd, long* size) {
  unsigned char piece[PIECE];
  for (long i = 0; i < PIECE; i++) piece[i] = byte_at(*size + i);
  CHECK(pwrite(memfd, piece, PIECE, *size) == PIECE);
  *size += PIECE;
}

static void verify(int memfd, long size) {
  static unsigned char seen[MOST];
  CHECK(lseek(memfd, 0, SEEK_END) == size && pread(memfd, seen, (size_t)size, 0) == size);
  for (long at = 0; at < size; at++) CHECK(seen[at] == byte_at(at));
}

int main(int count, char** arguments) {
  begin(count, arguments);
  int memfd = memfd_create("growing", 0);
  CHECK(memfd >= 0);
  unsigned long* beside = memory_of("private", BESIDE);
  for (unsigned long i = 0; i < BESIDE / sizeof *beside; i++) beside[i] = (i + 1) * 0x9e3779b97f4a7c15ul;
  ready();
  long size = 0;
  for (long turn = 0; !told_to_stop(); turn++) {
    if (size + PIECE > MOST) {
      CHECK(ftruncate(memfd, 0) == 0);
      size = 0;
    }
    append(memfd, &size);
    if (turn % 100 == 0) verify(memfd, size);
    pause_ms(1);
  }
  verify(memfd, size);
  for (unsigned long i = 0; i < BESIDE / sizeof *beside; i++) CHECK(beside[i] == (i + 1) * 0x9e3779b97f4a7c15ul);
  return pass();
}
