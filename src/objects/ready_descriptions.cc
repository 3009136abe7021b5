#include "objects/ready_descriptions.h"

#include <fcntl.h>

#include "objects/description.h"
#include "sys/kernel_objects.h"
#include "sys/pipe.h"

namespace godwit::objects {

namespace {

// The file of which it is a description, if it is nothing else; 0: it is not.
uint32_t file_of(const image::Description& description) {
  if (description.has_regular_file()) return description.regular_file().file();
  return description.has_directory() ? description.directory().file() : 0;
}

}  // namespace

Result<PipeEnds> make_pipe(uint32_t capacity) {
  auto ends = TRY(sys::make_pipe_pair());
  PipeEnds made{std::move(ends.read), std::move(ends.write), capacity};
  if (TRY(sys::pipe_capacity(made.read.get())) != capacity) {
    (void)sys::set_pipe_capacity(made.read.get(), capacity);  // a user's limit
  }
  return made;
}

// What all descriptions that may stand for each other have in common; empty: it is none of these.
std::string ReadyDescriptions::key_of(const image::Description& description) const {
  uint32_t file = file_of(description);
  bool from_here = file != 0 && opener_.may_be_early(file);
  if ((!from_here && !description.has_eventfd()) || (description.flags() & O_ASYNC) != 0) return {};
  image::Description alike;
  alike.set_flags(description.flags());
  if (description.has_eventfd()) *alike.mutable_eventfd() = description.eventfd();
  if (description.has_regular_file()) alike.mutable_regular_file()->set_file(file);
  if (description.has_directory()) alike.mutable_directory()->set_file(file);
  return std::to_string(from_here ? opener_.decisions(file) : 0) + ":" + alike.SerializeAsString();
}

Result<UniqueFd> ReadyDescriptions::make(const image::Description& description) {
  if (description.has_eventfd()) {
    const image::EventFd& counter = description.eventfd();
    return sys::make_eventfd(counter.count(), counter.semaphore(), static_cast<int>(description.flags() & O_NONBLOCK));
  }
  int directory = description.has_directory() ? O_DIRECTORY : 0;
  return opener_.open(file_of(description), static_cast<int>(status_flags(description.flags())) | directory);
}

void ReadyDescriptions::prepare_pipe(const image::PipeEnd& end, std::map<uint64_t, PipeEnds>& before) {
  if (end.file() != 0 || end.console() != 0 || pipes_.contains(end.pipe())) return;
  auto kept = before.extract(end.pipe());
  if (!kept.empty() && kept.mapped().capacity == end.capacity()) {
    pipes_.insert(std::move(kept));
  } else if (auto made = make_pipe(end.capacity())) {
    pipes_.emplace(end.pipe(), std::move(*made));
  }
}

void ReadyDescriptions::prepare(const image::LogicalHost& plan) {
  auto before = std::exchange(ready_, {});
  auto pipes_before = std::exchange(pipes_, {});
  for (const image::Description& description : plan.descriptions()) {
    if (description.has_pipe_end()) prepare_pipe(description.pipe_end(), pipes_before);
    std::string key = key_of(description);
    if (key.empty()) continue;
    auto kept = before.extract(key);
    if (!kept.empty()) {
      ready_.insert(std::move(kept));
    } else if (auto made = make(description)) {
      ready_.emplace(std::move(key), std::move(*made));
    }
  }
}

UniqueFd ReadyDescriptions::take(const image::Description& description) {
  auto found = ready_.extract(key_of(description));
  return found.empty() ? UniqueFd() : std::move(found.mapped());
}

}  // namespace godwit::objects
