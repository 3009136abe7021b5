// How fast this machine moves bytes through the transport alone: 256 KiB frames over TLS from one process to another on
// loopback. Prints GB/s, the median of five. With --copy: the speed of memcpy on fresh memory.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

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

double send_once(const std::string& directory, size_t bytes) {
  auto soon = [] { return std::chrono::steady_clock::now() + std::chrono::seconds(60); };
  auto files = godwit::transport::tls_files_in(directory);
  std::string token(godwit::transport::kTokenBytes, 't');
  auto listener = godwit::transport::Listener::bind("127.0.0.1");
  if (!listener) std::exit(1);
  pid_t child = fork();
  if (child == 0) {
    auto connection = listener->accept(files, "bench", token, soon());
    if (!connection) _exit(1);
    connection->set_deadline(soon());
    std::vector<std::byte> buffer(kFrame);
    for (size_t done = 0; done < bytes; done += kFrame) {
      auto header = connection->receive_header();
      if (!header || !connection->receive_bytes(std::span(buffer).first(header->length))) _exit(1);
    }
    (void)connection->send(FrameType::all_here);
    (void)connection->flush();
    _exit(0);
  }
  auto connection = Connection::connect("127.0.0.1", listener->port(), files, "bench", token, soon());
  if (!connection) std::exit(1);
  connection->set_deadline(soon());
  std::vector<std::byte> frame(kFrame, std::byte{5});
  auto start = std::chrono::steady_clock::now();
  for (size_t done = 0; done < bytes; done += kFrame) {
    if (!connection->send(FrameType::pages, {}, frame)) std::exit(1);
  }
  if (!connection->flush() || !connection->receive()) std::exit(1);
  double taken = seconds_since(start);
  waitpid(child, nullptr, 0);
  return taken;
}

}  // namespace

int main(int count, char** arguments) {
  bool copy = count > 1 && std::string(arguments[1]) == "--copy";
  size_t bytes = size_t{1} << 30;
  char directory[] = "/tmp/godwit-bench-XXXXXX";
  if (mkdtemp(directory) == nullptr) return 1;
  std::string place(directory);
  if (!godwit::transport::create_authority(place + "/ca")) return 1;
  const std::string addresses[] = {"127.0.0.1"};
  if (!godwit::transport::issue_node_certificate(place + "/ca", place, "bench", addresses)) return 1;
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) times.push_back(copy ? copy_once(bytes) : send_once(place, bytes));
  std::sort(times.begin(), times.end());
  std::printf("%.3f\n", static_cast<double>(bytes) / times[2] / 1e9);
  std::filesystem::remove_all(place);
  return 0;
}
