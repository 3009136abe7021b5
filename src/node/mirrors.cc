#include "node/mirrors.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <filesystem>

#include "address_space/mirror.h"
#include "sys/file.h"

namespace godwit::node {

namespace {

// Migrations have hexadecimal names; others, which peers may ask for, name no file of ours.
bool is_name(const std::string& migration) {
  return !migration.empty() && migration.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Mirrors::Mirrors(EventLoop& loop, Background& clearing, const std::string& state_directory)
    : loop_(loop), clearing_(clearing), directory_(state_directory + "/mirrors") {}

std::string Mirrors::path_of(const std::string& migration) const { return directory_ + "/" + migration; }

bool Mirrors::has(const std::string& migration) const {
  std::error_code failed;
  return is_name(migration) && std::filesystem::is_regular_file(path_of(migration), failed);
}

void Mirrors::recover() {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, failed)) {
    // What is not whole is of a migration that had not come to its switchover.
    if (!serve(entry.path().filename())) (void)sys::remove_path(entry.path());
  }
}

bool Mirrors::serve(const std::string& migration) {
  if (!has(migration)) return false;
  if (!servers_.contains(migration)) start(migration);
  return true;
}

void Mirrors::start(const std::string& migration) {
  worker::WorkerOrder order;
  order.mutable_mirror()->set_path(path_of(migration));
  auto told = [migration](const worker::WorkerEvent& event) {
    if (event.has_moved()) spdlog::info("migration {}: all memory has left, the last of it from its mirror", migration);
    if (event.has_failed()) spdlog::warn("migration {}: its mirror: {}", migration, event.failed().message());
  };
  auto worker = WorkerProcess::start(loop_, order, {told, [this, migration] { ended(migration); }});
  if (worker) {
    servers_[migration] = std::move(*worker);
  } else {
    spdlog::error("migration {}: its mirror cannot be served: {}", migration, worker.error().message());
    ended(migration);
  }
}

// One that has done its work has removed the mirror.
void Mirrors::ended(const std::string& migration) {
  constexpr std::chrono::seconds kAgain(1);
  servers_.erase(migration);
  loop_.after(kAgain, [this, migration] { serve(migration); });
}

void Mirrors::remove(const std::string& migration) {
  if (is_name(migration)) clearing_.run([path = path_of(migration)] { address_space::remove_mirror(path); });
}

}  // namespace godwit::node
