// How fast this machine moves bytes through the transport alone: 256 KiB frames over TLS from one process to another on
// loopback. Prints GB/s, the median of five. With --copy: the speed of memcpy on fresh memory. With --through: the
// least that any move has to do, one thread on each side: what is sent is read from a third process, and what arrives
// is put where no memory was.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sys/process_memory.h"
#include "sys/userfaultfd.h"
#include "transport/certificates.h"
#include "transport/connection.h"

namespace {

using godwit::transport::Connection;
using godwit::transport::FrameType;
constexpr size_t kFrame = 256 << 10;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double copy_once(size_t bytes) {
  auto* from = static_cast<char*>(
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
  auto* to = static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  std::memset(from, 1, bytes);
  auto start = std::chrono::steady_clock::now();
  std::memcpy(to, from, bytes);
  double taken = seconds_since(start);
  munmap(from, bytes);
  munmap(to, bytes);
  return taken;
}

// Memory of another process, full of what was written to it. Ends with this object.
class Program {
 public:
  explicit Program(size_t bytes) {
    place_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place_ == MAP_FAILED) std::exit(1);
    std::memset(place_, 5, bytes);
    pid_ = fork();
    if (pid_ < 0) std::exit(1);
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      std::memset(place_, 6, bytes);  // its own pages
      raise(SIGSTOP);
      _exit(0);
    }
    waitpid(pid_, nullptr, WUNTRACED);
    munmap(place_, bytes);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  bool read(size_t offset, std::span<std::byte> into) const {
    return bool(godwit::sys::read_memory_at(pid_, reinterpret_cast<uint64_t>(place_) + offset, into));
  }

 private:
  void* place_;
  pid_t pid_;
};

// Memory in which there is nothing, filled as a skeleton's is.
class Skeleton {
 public:
  explicit Skeleton(size_t bytes) {
    void* place = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    start_ = reinterpret_cast<uint64_t>(place);
    filler_.emplace(*godwit::sys::Userfaultfd::for_filling(
        godwit::UniqueFd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)))));
    if (!filler_->watch_missing({start_, start_ + bytes})) _exit(1);
  }
  bool put(size_t offset, std::span<const std::byte> bytes) { return bool(filler_->copy(start_ + offset, bytes)); }

 private:
  uint64_t start_ = 0;
  std::optional<godwit::sys::Userfaultfd> filler_;
};

void receive_all(Connection& connection, size_t bytes, bool through) {
  std::vector<std::byte> buffer(kFrame);
  std::optional<Skeleton> skeleton;
  if (through) skeleton.emplace(bytes);
  for (size_t done = 0; done < bytes; done += kFrame) {
    auto header = connection.receive_header();
    if (!header || !connection.receive_bytes(std::span(buffer).first(header->length))) _exit(1);
    if (skeleton && !skeleton->put(done, buffer)) _exit(1);
  }
  (void)connection.send(FrameType::all_here);
  (void)connection.flush();
}

double send_once(const std::string& directory, size_t bytes, bool through) {
  auto soon = [] { return std::chrono::steady_clock::now() + std::chrono::seconds(60); };
  auto files = godwit::transport::tls_files_in(directory);
  std::string token(godwit::transport::kTokenBytes, 't');
  auto listener = godwit::transport::Listener::bind("127.0.0.1");
  if (!listener) std::exit(1);
  std::optional<Program> program;
  if (through) program.emplace(bytes);
  pid_t child = fork();
  if (child == 0) {
    auto connection = listener->accept(files, "bench", token, soon());
    if (!connection) _exit(1);
    connection->set_deadline(soon());
    receive_all(*connection, bytes, through);
    _exit(0);
  }
  auto connection = Connection::connect("127.0.0.1", listener->port(), files, "bench", token, soon());
  if (!connection) std::exit(1);
  connection->set_deadline(soon());
  std::vector<std::byte> frame(kFrame, std::byte{5});
  auto start = std::chrono::steady_clock::now();
  for (size_t done = 0; done < bytes; done += kFrame) {
    if (program && !program->read(done, frame)) std::exit(1);
    if (!connection->send(FrameType::pages, {}, frame)) std::exit(1);
  }
  if (!connection->flush() || !connection->receive()) std::exit(1);
  double taken = seconds_since(start);
  waitpid(child, nullptr, 0);
  return taken;
}

}  // namespace

int main(int count, char** arguments) {
  std::string what = count > 1 ? arguments[1] : "";
  size_t bytes = size_t{1} << 30;
  char directory[] = "/tmp/godwit-bench-XXXXXX";
  if (mkdtemp(directory) == nullptr) return 1;
  std::string place(directory);
  if (!godwit::transport::create_authority(place + "/ca")) return 1;
  const std::string addresses[] = {"127.0.0.1"};
  if (!godwit::transport::issue_node_certificate(place + "/ca", place, "bench", addresses)) return 1;
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) {
    times.push_back(what == "--copy" ? copy_once(bytes) : send_once(place, bytes, what == "--through"));
  }
  std::sort(times.begin(), times.end());
  std::printf("%.3f\n", static_cast<double>(bytes) / times[2] / 1e9);
  std::filesystem::remove_all(place);
  return 0;
}
