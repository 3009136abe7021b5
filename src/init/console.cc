#include "init/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

namespace godwit::init {

namespace {

void close_one(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

void never_block(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

int make_pipe(int& read_end, int& write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  read_end = ends[0];
  write_end = ends[1];
  return 0;
}

}  // namespace

Console::~Console() {
  close_near();
  close_one(far_input_);
  close_one(far_output_);
  close_one(far_error_);
  close_one(log_);
}

int Console::open_ends(uint16_t rows, uint16_t columns, uint32_t uid, uint32_t gid) {
  if (terminal_) {
    far_output_ = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (far_output_ < 0) return errno;
    int unlocked = 0;
    unsigned index = 0;
    if (ioctl(far_output_, TIOCSPTLCK, &unlocked) != 0 || ioctl(far_output_, TIOCGPTN, &index) != 0) return errno;
    char path[32];
    snprintf(path, sizeof path, "/dev/pts/%u", index);
    if (chown(path, uid, gid) != 0 || chmod(path, 0620) != 0) return errno;
    near_input_ = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (near_input_ < 0) return errno;
    set_window(rows, columns);
    return 0;
  }
  if (discard_stdin_) {
    near_input_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
    stdin_closed_ = true;
  } else if (int failed = make_pipe(near_input_, far_input_)) {
    return failed;
  }
  if (int failed = make_pipe(far_output_, near_output_)) return failed;
  if (int failed = make_pipe(far_error_, near_error_)) return failed;
  never_block(far_output_);
  never_block(far_error_);
  if (far_input_ >= 0) never_block(far_input_);
  // A program may look at its standard streams through /dev/stdout and the like: they are its own user's.
  for (int fd : {near_input_, near_output_, near_error_}) {
    if (!discard_stdin_ || fd != near_input_) fchown(fd, uid, gid) == 0 ? void() : void();
  }
  return 0;
}

int Console::open_log(const char* path) {
  log_ = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
  return log_ < 0 ? errno : 0;
}

void Console::go_on_at(uint64_t length) {
  bool shorter = log_ >= 0 && static_cast<uint64_t>(lseek(log_, 0, SEEK_END)) < length;
  if (shorter && ftruncate(log_, static_cast<off_t>(length)) != 0) close_one(log_);  // a log that has no room for more
  log_length_ = length;
}

void Console::append(uint8_t stream, const char* bytes, size_t length) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  LogRecord record{stream, {}, static_cast<uint32_t>(length), now.tv_sec * 1'000'000'000LL + now.tv_nsec};
  iovec parts[2] = {{&record, sizeof record}, {const_cast<char*>(bytes), length}};
  ssize_t wanted = static_cast<ssize_t>(sizeof record + length);
  if (writev(log_, parts, 2) == wanted) {
    log_length_ += static_cast<uint64_t>(wanted);
  } else if (ftruncate(log_, static_cast<off_t>(log_length_)) !=
             0) {  // a full disk: this piece is lost, records stay whole
    close_one(log_);
  }
  constexpr uint64_t kStep = uint64_t{4} << 20;
  if (log_length_ > kLogKeepBytes && log_length_ - kLogKeepBytes > punched_ + kStep) {
    uint64_t to = log_length_ - kLogKeepBytes;
    fallocate(log_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(punched_),
              static_cast<off_t>(to - punched_));
    punched_ = to;
  }
}

uint64_t Console::drain_stream(int& fd, uint8_t stream, bool until_empty) {
  char buffer[65536];
  uint64_t moved = 0;
  constexpr int kFairShare = 16;  // pieces, before other consoles have their turn
  for (int i = 0; fd >= 0 && (until_empty || (i < kFairShare && has_room_in_log())); ++i) {
    ssize_t count = read(fd, buffer, sizeof buffer);
    if (count > 0) {
      append(stream, buffer, static_cast<size_t>(count));
      moved += static_cast<uint64_t>(count);
    } else if (count == 0) {
      close_one(fd);
    } else if (errno != EINTR) {
      break;  // nothing there now; or EIO: no process has the terminal open at present
    }
  }
  return moved;
}

uint64_t Console::drain(bool until_empty) {
  return drain_stream(far_output_, 1, until_empty) + drain_stream(far_error_, 2, until_empty);
}

void Console::add_input(uint64_t client, const char* bytes, size_t length) {
  input_.push_back({client, std::string(bytes, length), length == 0, false});
}

uint64_t Console::queued(uint64_t client) const {
  uint64_t bytes = 0;
  for (const Piece& piece : input_) bytes += piece.client == client ? piece.bytes.size() : 0;
  return bytes;
}

// Writes what it can of the first piece.
InputTaken Console::push_piece() {
  Piece& piece = input_.front();
  InputTaken went{0, 0};
  while (!piece.bytes.empty()) {
    // Where nobody reads (any more) input is discarded.
    ssize_t count = far_input() < 0 ? -1 : write(far_input(), piece.bytes.data(), piece.bytes.size());
    if (count < 0 && far_input() >= 0 && errno == EINTR) continue;
    if (count < 0 && far_input() >= 0 && errno == EAGAIN) return went;
    if (count < 0) {
      count = static_cast<ssize_t>(piece.bytes.size());
      set_stdin_closed();
    }
    went.bytes += static_cast<uint64_t>(count);
    piece.bytes.erase(0, static_cast<size_t>(count));
  }
  if (piece.end && terminal_) {
    char end_of_file = 4;  // ^D, what a person would type
    if (far_input() >= 0 && write(far_output_, &end_of_file, 1) < 0 && errno == EAGAIN) return went;
  } else if (piece.end) {
    set_stdin_closed();
  }
  went.end = piece.end;
  piece.finished = true;
  return went;
}

void Console::set_stdin_closed() {
  stdin_closed_ = true;
  if (!terminal_) close_one(far_input_);
}

void Console::set_window(uint16_t rows, uint16_t columns) {
  rows_ = rows;
  columns_ = columns;
  winsize size{rows, columns, 0, 0};
  if (terminal_) ioctl(far_output_, TIOCSWINSZ, &size);
}

void Console::close_near() {
  close_one(near_input_);
  close_one(near_output_);
  close_one(near_error_);
}

void Console::ended(int wait_status, const std::string& state_directory) {
  drain(true);
  has_ended = true;
  status = wait_status;
  // Written whole under another name first: whoever reads it reads all of it.
  std::string path = state_directory + "/console-" + std::to_string(number_) + ".status";
  std::string next = path + ".new";
  int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  std::string text = std::to_string(wait_status) + "\n";
  bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  if (written) rename(next.c_str(), path.c_str());
}

ConsoleState Console::state() const {
  return {pid, status, has_ended, stdin_closed_, terminal_, discard_stdin_, rows_, columns_, log_length_};
}

ConsoleEnds Console::ends() const {
  return {near_input_, near_output_, near_error_, far_input_, far_output_, far_error_};
}

}  // namespace godwit::init
