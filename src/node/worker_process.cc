#include "node/worker_process.h"

#include <cstring>
#include <filesystem>

#include "sys/child_process.h"
#include "sys/spawn.h"
#include "sys/stream_socket.h"
#include "sys/unix_socket.h"

namespace godwit::node {

namespace {
constexpr int kPatienceMs = 10'000;
constexpr uint32_t kLongest = 64u << 20;
}  // namespace

std::string program_directory() {
  std::error_code failed;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  std::filesystem::path beside = self.parent_path();
  if (std::filesystem::exists(beside / "godwit-worker", failed)) return beside;
  return beside.parent_path() / "libexec" / "godwit";
}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(EventLoop& loop, const worker::WorkerOrder& order,
                                                            Callbacks callbacks) {
  sys::SocketPair pair = TRY(sys::unix_pair());
  constexpr int kChannel = 3;
  // No symbol is looked up for the first time while a program is frozen: ld.so(8).
  pid_t pid =
      TRY(sys::spawn_program({program_directory() + "/godwit-worker"}, {"LD_BIND_NOW=1"}, pair.second.get(), kChannel));
  pair.second.reset();
  std::unique_ptr<WorkerProcess> worker(new WorkerProcess(loop, std::move(pair.first), pid, std::move(callbacks)));
  TRY(worker->send_bytes(order.SerializeAsString()));
  return worker;
}

WorkerProcess::WorkerProcess(EventLoop& loop, UniqueFd channel, pid_t pid, Callbacks callbacks)
    : loop_(loop), channel_(std::move(channel)), pid_(pid), callbacks_(std::move(callbacks)) {
  loop_.watch(channel_.get(), [this] { read(); });
}

WorkerProcess::~WorkerProcess() {
  loop_.forget(channel_.get());
  kill();
}

void WorkerProcess::kill() {
  // The pid is ours until the daemon reaps it, and it does not end before its channel.
  if (!ended_) (void)sys::send_signal(pid_, SIGKILL);
}

Result<void> WorkerProcess::send(const worker::WorkerRequest& request) {
  return send_bytes(request.SerializeAsString());
}

Result<void> WorkerProcess::send_bytes(const std::string& body) {
  auto length = static_cast<uint32_t>(body.size());
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  bytes += body;
  return sys::send_whole(channel_.get(), std::as_bytes(std::span(bytes)), kPatienceMs).within("the worker");
}

void WorkerProcess::read() {
  std::byte buffer[65536];
  auto count = sys::receive_some(channel_.get(), buffer, std::chrono::steady_clock::now(), {});
  bool ended = !count || *count == 0;
  if (!ended) received_.append(reinterpret_cast<const char*>(buffer), *count);
  std::vector<worker::WorkerEvent> events;
  uint32_t length = 0;
  while (received_.size() >= sizeof length) {
    std::memcpy(&length, received_.data(), sizeof length);
    if (length > kLongest) ended = true;
    if (ended || received_.size() < sizeof length + length) break;
    worker::WorkerEvent event;
    if (event.ParseFromArray(received_.data() + sizeof length, static_cast<int>(length))) events.push_back(event);
    received_.erase(0, sizeof length + length);
  }
  auto callbacks = callbacks_;  // a callback may destroy this object
  if (ended) {
    kill();  // one that only closed its channel, or talks nonsense
    ended_ = true;
    loop_.forget(channel_.get());
  }
  for (const worker::WorkerEvent& event : events) callbacks.event(event);
  if (ended) callbacks.end();
}

}  // namespace godwit::node
