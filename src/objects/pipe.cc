// Pipes and FIFOs, with what is in them. Content is looked at with tee(2), which takes nothing out. Source: pipe(7),
// tee(2).
#include <fcntl.h>

#include "objects/description.h"
#include "sys/file.h"
#include "sys/pipe.h"

namespace godwit::objects {

Captured capture_pipe(const OpenDescriptor& open, CaptureTools& tools, image::Description& into) {
  into.set_flags(open.info.flags);
  image::PipeEnd& end = *into.mutable_pipe_end();
  end.set_pipe(open.status.st_ino);
  for (const ConsoleEnd& console : tools.consoles) {
    if (console.terminal || console.id != open.status.st_ino) continue;
    end.set_console(console.console + 1);
    end.set_console_stream(console.stream);
  }
  bool has_name = open.link.starts_with("/");
  if (has_name) end.set_file(TRY(tools.files.add(open.copy.get(), open.link, {})));
  end.set_packet_mode((open.info.flags & O_DIRECT) != 0);
  end.set_capacity(TRY(sys::pipe_capacity(open.copy.get())));
  bool first = tools.depth == Depth::full && tools.pipes_with_content.emplace(open.status.st_ino, true).second;
  if (first) end.set_content(TRY(sys::peek_pipe(open.copy.get(), end.capacity())));
  return std::optional<Unsupported>();
}

Result<UniqueFd> restore_pipe(const image::Description& description, RestoreTools& tools) {
  const image::PipeEnd& end = description.pipe_end();
  int flags = static_cast<int>(description.flags() & (O_ACCMODE | O_NONBLOCK | O_ASYNC));
  constexpr size_t kMostContent = size_t{64} << 20;
  if (end.content().size() > kMostContent) return error(ErrorKind::corrupt, "a pipe with impossible content");
  auto content = std::as_bytes(std::span(end.content()));
  if (end.console() != 0) {
    for (const ConsoleFd& console : tools.consoles) {
      if (console.console + 1 != end.console() || console.stream != end.console_stream()) continue;
      // A description of its own, so that flags are not shared with godwit-init.
      if (!content.empty() && console.stream == 0) TRY(sys::fill_pipe(console.fd, content));
      return sys::reopen(console.fd, flags);
    }
    return error(ErrorKind::corrupt, "a pipe of a console that is not there");
  }
  auto known = tools.pipes.find(end.pipe());
  if (known == tools.pipes.end()) {
    RestoreTools::Pipe made;
    if (end.file() != 0) {
      made.read = TRY(tools.opener.open(end.file(), O_RDWR | O_NONBLOCK));
    } else {
      auto ends = TRY(sys::make_pipe_pair(end.packet_mode()));
      made.read = std::move(ends.read);
      made.write = std::move(ends.write);
    }
    int any = made.read.get();
    if (TRY(sys::pipe_capacity(any)) != end.capacity())
      (void)sys::set_pipe_capacity(any, end.capacity());  // a user's limit
    known = tools.pipes.emplace(end.pipe(), std::move(made)).first;
  }
  int any = known->second.read.get();
  // A FIFO on a file system shared by nodes of one machine (a lab) is one and the same pipe: its content is there
  // already.
  bool same_pipe = !content.empty() && TRY(sys::peek_pipe(any, end.capacity())) == end.content();
  if (!content.empty() && !same_pipe) TRY(sys::fill_pipe(any, content));
  return sys::reopen(known->second.read.get(), flags);
}

}  // namespace godwit::objects
