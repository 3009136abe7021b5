// A table of descriptors that never stands still: files, directories, pipes, event counters and sockets are opened,
// closed and doubled under the same few numbers, positions, counts and contents change, and so do the names of open
// files. What each number shows is known at any time, and compared.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "check.h"

enum kind { CLOSED, EQUAL_FILE, OWN_FILE, DIRECTORY, PIPE, PACKET_PIPE, COUNTER, SEMAPHORE, PAIR, KINDS };
enum { SLOTS = 48, FIRST = 100, FILES = 4, MEMORY = 64 << 20 };

// An open file description, or the two of a pipe or pair.
struct object {
  enum kind kind;
  int uses, file, nonblocking;
  long position;          // or count, or bytes in it
  unsigned char content;  // of a pipe or pair: its first byte, the others follow
};
static struct object objects[SLOTS];
static struct slot {
  struct object* object;
  int writes;  // the end of a pipe or pair
} slots[SLOTS];
static const char* const equal_files[FILES] = {"/usr/bin/env", "/usr/bin/true", "/usr/bin/cut", "/usr/bin/sort"};
static char own_files[FILES][300];
static unsigned renamed[FILES];
static unsigned char first_bytes[FILES][64];
static unsigned long random_state = 88172645463325252u;

static unsigned choose(unsigned below) {
  random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
  return (unsigned)(random_state % below);
}
static int number_of(const struct slot* slot) { return FIRST + (int)(slot - slots); }
static const char* own_name(int file) {
  static char name[320];
  snprintf(name, sizeof name, "%s.%u", own_files[file], renamed[file]);
  return name;
}

static void put_at(int fd, struct slot* slot, struct object* object, int writes) {
  CHECK(fd >= 0 && dup2(fd, number_of(slot)) == number_of(slot) && close(fd) == 0);
  *slot = (struct slot){object, writes};
  object->uses++;
}
static void close_slot(struct slot* slot) {
  if (slot->object == NULL) return;
  CHECK(close(number_of(slot)) == 0);
  slot->object->uses--;
  slot->object = NULL;
}
static struct slot* empty_slot(void) {
  struct slot* slot = &slots[choose(SLOTS)];
  close_slot(slot);
  return slot;
}

static void open_object(void) {
  struct object* object = objects;
  while (object < objects + SLOTS && object->uses > 0) object++;
  if (object == objects + SLOTS) return;
  *object = (struct object){.kind = 1 + choose(KINDS - 1), .file = (int)choose(FILES), .nonblocking = choose(2)};
  int nonblocking = object->nonblocking ? O_NONBLOCK : 0, ends[2] = {-1, -1};
  switch (object->kind) {
    case EQUAL_FILE: ends[0] = open(equal_files[object->file], O_RDONLY | nonblocking); break;
    case OWN_FILE: ends[0] = open(own_name(object->file), O_RDWR | nonblocking); break;
    case DIRECTORY: ends[0] = open("/usr/lib", O_RDONLY | O_DIRECTORY); break;
    case PIPE:
    case PACKET_PIPE:
      object->nonblocking = 1;
      CHECK(pipe2(ends, O_NONBLOCK | (object->kind == PACKET_PIPE ? O_DIRECT : 0)) == 0);
      break;
    case COUNTER: ends[0] = eventfd(0, EFD_NONBLOCK); break;
    case SEMAPHORE: ends[0] = eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE); break;
    default: CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
  }
  put_at(ends[0], empty_slot(), object, 0);
  if (ends[1] >= 0) put_at(ends[1], empty_slot(), object, 1);
}

// A pipe of which an end is closed everywhere is of no use for transfers.
static int has_other_end(const struct slot* of) {
  for (struct slot* slot = slots; slot < slots + SLOTS; slot++) {
    if (slot->object == of->object && slot->writes != of->writes) return 1;
  }
  return 0;
}
static void write_some(struct slot* slot) {
  struct object* object = slot->object;
  unsigned char bytes[20];
  unsigned length = 1 + choose(sizeof bytes);
  if (!has_other_end(slot) || object->position > 1000) return;
  for (unsigned i = 0; i < length; i++) bytes[i] = (unsigned char)(object->content + object->position + i);
  CHECK(write(number_of(slot), bytes, length) == length);
  object->position += length;
}
static void read_some(struct slot* slot) {
  struct object* object = slot->object;
  unsigned char bytes[20];
  ssize_t got = read(number_of(slot), bytes, sizeof bytes);
  if (object->position == 0) {
    int ended = !has_other_end(slot);
    // Whoever looks at another's descriptors holds them open for some microseconds.
    for (int patience = 0; ended && got == -1 && patience < 100; patience++) {
      pause_ms(1);
      got = read(number_of(slot), bytes, sizeof bytes);
    }
    CHECK(got == (ended ? 0 : -1) && (ended || errno == EAGAIN));
    return;
  }
  CHECK(got > 0 && got <= object->position);
  if (object->kind != PACKET_PIPE) CHECK(got == object->position || got == sizeof bytes);
  for (int i = 0; i < got; i++) CHECK(bytes[i] == (unsigned char)(object->content + i));
  object->content = (unsigned char)(object->content + got);
  object->position -= got;
}
static void count(struct slot* slot) {
  struct object* object = slot->object;
  if (choose(2)) {
    CHECK(eventfd_write(number_of(slot), 1 + (unsigned)object->file) == 0);
    object->position += 1 + object->file;
    return;
  }
  eventfd_t value = 0;
  int got = eventfd_read(number_of(slot), &value);
  CHECK(object->position == 0 ? got == -1 && errno == EAGAIN : got == 0);
  CHECK(value == (object->kind == COUNTER ? (eventfd_t)object->position : object->position > 0));
  object->position -= (long)value;
}
static void use(struct slot* slot) {
  struct object* object = slot->object;
  int fd = number_of(slot);
  unsigned char bytes[8];
  char link[64], name[400];
  CHECK(((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) == (object->nonblocking || object->kind >= PIPE) ||
        object->kind == DIRECTORY);
  switch (object->kind) {
    case EQUAL_FILE:
    case OWN_FILE:
      CHECK(lseek(fd, 0, SEEK_CUR) == object->position);
      CHECK(read(fd, bytes, sizeof bytes) == sizeof bytes);
      const unsigned char* expected = first_bytes[object->file] + object->position;
      if (object->kind == EQUAL_FILE) CHECK(memcmp(bytes, expected, sizeof bytes) == 0);
      if (object->kind == OWN_FILE) CHECK(bytes[0] == object->file && bytes[7] == object->position);
      object->position = 8 * choose(7);
      CHECK(lseek(fd, object->position, SEEK_SET) == object->position);
      if (object->kind == EQUAL_FILE) break;
      snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
      ssize_t length = readlink(link, name, sizeof name - 1);
      CHECK(length > 0);
      name[length] = 0;
      CHECK(strcmp(name, own_name(object->file)) == 0);
      break;
    case DIRECTORY: CHECK(faccessat(fd, "os-release", F_OK, 0) == 0); break;
    case COUNTER:
    case SEMAPHORE: count(slot); break;
    default:
      if (slot->writes) {
        write_some(slot);
      } else {
        read_some(slot);
      }
  }
}

static void rename_one(void) {
  int file = (int)choose(FILES);
  char before[320];
  strcpy(before, own_name(file));
  renamed[file]++;
  CHECK(rename(before, own_name(file)) == 0);
}
static void double_one(void) {
  struct slot *from = &slots[choose(SLOTS)], *to = &slots[choose(SLOTS)];
  if (from->object == NULL || from == to) return;
  close_slot(to);
  CHECK(dup2(number_of(from), number_of(to)) == number_of(to));
  *to = *from;
  to->object->uses++;
}

int main(int count_arguments, char** arguments) {
  begin(count_arguments, arguments);
  const char* scratch = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
  for (int file = 0; file < FILES; file++) {
    int fd = open(equal_files[file], O_RDONLY);
    CHECK(fd >= 0 && read(fd, first_bytes[file], 64) == 64 && close(fd) == 0);
    snprintf(own_files[file], sizeof own_files[file], "%s/own%d", scratch, file);
    fd = open(own_name(file), O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int at = 0; at < 64; at += 8) {
      unsigned char word[8] = {(unsigned char)file, [7] = (unsigned char)at};
      CHECK(write(fd, word, 8) == 8);
    }
    CHECK(close(fd) == 0);
  }
  unsigned char* memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  memset(memory, 7, MEMORY);  // so that rounds take a while
  ready();
  for (unsigned long turn = 0; turn % 64 != 0 || !told_to_stop(); turn++) {
    struct slot* slot = &slots[choose(SLOTS)];
    unsigned step = choose(20);
    if (step == 0) close_slot(slot);
    if (step == 1) double_one();
    if (step == 2 || step == 3) open_object();
    if (step == 4 && turn % 8 == 0) rename_one();
    if (step > 4 && slot->object != NULL) use(slot);
    if (turn % 16 == 0) pause_ms(1);
  }
  for (struct slot* slot = slots; slot < slots + SLOTS; slot++) {
    if (slot->object != NULL) use(slot);
    close_slot(slot);
  }
  return pass();
}
