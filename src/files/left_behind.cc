#include "files/left_behind.h"

#include <fcntl.h>

#include <filesystem>

#include "sys/hash.h"
#include "sys/text_file.h"

namespace godwit::files {

namespace {

std::string description(const struct stat& status, const std::string& job) {
  return job + " " + std::to_string(status.st_ino) + " " + std::to_string(status.st_size) + " " +
         std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec) + "\n";
}

}  // namespace

std::string LeftBehind::file_for(const std::string& path) const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string name;
  for (unsigned char byte : sys::sha256(std::as_bytes(std::span(path))))
    name += {kDigits[byte >> 4], kDigits[byte & 15]};
  return directory_ + "/" + name;
}

Result<void> LeftBehind::note(const std::string& path, const std::string& job) const {
  return note(path, TRY(sys::status_of(path)), job);
}

Result<void> LeftBehind::note(const std::string& path, const struct stat& status, const std::string& job) const {
  if (directory_.empty()) return {};
  std::error_code failed;
  std::filesystem::create_directories(directory_, failed);
  UniqueFd note = TRY(sys::open_path(file_for(path), O_WRONLY | O_CREAT | O_TRUNC, 0600));
  std::string text = description(status, job);
  return sys::write_at(note.get(), 0, std::as_bytes(std::span(text)));
}

bool LeftBehind::is_former_copy(const std::string& path, const struct stat& status, const std::string& job) const {
  if (directory_.empty()) return false;
  auto noted = sys::read_text(file_for(path));
  return noted && *noted == description(status, job);
}

void note_left_behind(const worker::JobPlace& place, const std::vector<std::string>& paths) {
  LeftBehind left = left_behind_of(place);
  for (const std::string& path : paths) {
    (void)left.note(path, place.job());  // without it the file counts as somebody else's: the careful side
  }
}

LeftBehind left_behind_of(const worker::JobPlace& place) {
  // STATE/jobs/ID is the job's own; what is left lies beside it.
  std::filesystem::path state = std::filesystem::path(place.state_directory()).parent_path().parent_path();
  return LeftBehind(state / "left-behind");
}

}  // namespace godwit::files
