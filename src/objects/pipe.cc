// Pipes and FIFOs, with what is in them. Content is looked at with tee(2), which takes nothing out. Source: pipe(7),
// tee(2).
#include <fcntl.h>

#include "objects/description.h"
#include "sys/file.h"
#include "sys/pipe.h"
#include "sys/socket_state.h"

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
  if (!first) return std::optional<Unsupported>();
  sys::PipeContent content = TRY(sys::peek_pipe(open.copy.get(), end.capacity()));
  end.mutable_pieces()->Assign(content.pieces.begin(), content.pieces.end());
  end.set_content(std::move(content.bytes));
  return std::optional<Unsupported>();
}

namespace {

Result<sys::PipeContent> content_of(const image::PipeEnd& end) {
  constexpr uint64_t kMostContent = uint64_t{64} << 20;
  uint64_t sum = 0;
  for (uint32_t piece : end.pieces()) sum += piece;
  if (end.content().size() > kMostContent || sum != end.content().size()) {
    return error(ErrorKind::corrupt, "a pipe with impossible content");
  }
  return sys::PipeContent{end.content(), {end.pieces().begin(), end.pieces().end()}};
}

Result<UniqueFd> restore_console_pipe(const image::PipeEnd& end, int flags, const sys::PipeContent& content,
                                      RestoreTools& tools) {
  for (const ConsoleFd& console : tools.consoles) {
    if (console.console + 1 != end.console() || console.stream != end.console_stream()) continue;
    // A description of its own, so that flags are not shared with godwit-init.
    if (!content.bytes.empty() && console.stream == 0) TRY(sys::fill_pipe(console.fd, content, false));
    return sys::reopen(console.fd, flags);
  }
  return error(ErrorKind::corrupt, "a pipe of a console that is not there");
}

Result<UniqueFd> description_of_end(PipeEnds& pipe, int flags) {
  bool writes = (flags & O_ACCMODE) == O_WRONLY;
  bool& taken = writes ? pipe.write_taken : pipe.read_taken;
  bool both = (flags & O_ACCMODE) == O_RDWR || !pipe.write.valid();
  bool is_own = !both && !std::exchange(taken, true);
  int first = writes ? pipe.write.get() : pipe.read.get();
  UniqueFd fd = TRY(is_own ? sys::duplicate(first) : sys::reopen(pipe.read.get(), flags & ~O_DIRECT));
  uint32_t status = static_cast<uint32_t>(flags & ~O_ACCMODE);
  uint32_t has = is_own ? 0 : status & ~uint32_t{O_DIRECT};
  if (status != has) TRY(sys::set_file_flags(fd.get(), status));
  return fd;
}

}  // namespace

Result<UniqueFd> restore_pipe(const image::Description& description, RestoreTools& tools) {
  const image::PipeEnd& end = description.pipe_end();
  int flags = static_cast<int>(description.flags() & (O_ACCMODE | O_NONBLOCK | O_ASYNC));
  sys::PipeContent content = TRY(content_of(end));
  if (end.console() != 0) return restore_console_pipe(end, flags, content, tools);
  auto known = tools.pipes.find(end.pipe());
  if (known == tools.pipes.end()) {
    PipeEnds made;
    if (end.file() != 0) {
      made.read = TRY(tools.opener.open(end.file(), O_RDWR | O_NONBLOCK));
    } else {
      made = TRY(make_pipe(end.capacity()));
    }
    known = tools.pipes.emplace(end.pipe(), std::move(made)).first;
  }
  if (known->second.capacity != end.capacity()) {
    (void)sys::set_pipe_capacity(known->second.read.get(), end.capacity());  // a user's limit
    known->second.capacity = end.capacity();
  }
  if (!content.bytes.empty()) {
    // A FIFO on a file system shared by nodes of one machine (a lab) is one and the same pipe: its content is there
    // already.
    int any = known->second.read.get();
    bool same_pipe = TRY(sys::peek_pipe(any, end.capacity())).bytes == content.bytes;
    bool packets = content.pieces.size() > 1 || tools.packet_pipes.contains(end.pipe());
    if (!same_pipe) TRY(sys::fill_pipe(any, content, packets));
  }
  return description_of_end(known->second, end.packet_mode() ? flags | O_DIRECT : flags);
}

}  // namespace godwit::objects
