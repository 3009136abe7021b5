// Words within: what connections that their program has closed still have to say to readers in the same job.
//
// At the source the reader's own socket is there when the job has left. It takes part again, in our hands, and is read
// to its end. At the destination a connection stands in for the closed end (objects/tcp_socket.cc), says what was
// heard, and is closed; if that is not whole the reader learns so (RST). Source: tcp(7), RFC 9293.
#pragma once

#include <chrono>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "godwit/image.pb.h"
#include "sys/closed_connections.h"

namespace godwit::objects {

struct ReaderWithin {
  UniqueFd fd;           // its socket, held still
  size_t told;           // bytes that are in the image as received
  sys::LastWords words;  // that it is to hear, by their speaker's names
};
// At the source, when the job has left; blocks while anything comes. One for each reader: what follows on that as
// `unsent`, and nothing in the image of one that was not heard to its end.
std::vector<image::TcpSocket> hear_within(const std::vector<ReaderWithin>& readers);

// At the destination. `stand_in` is closed when it has said everything.
Result<void> speak_within(UniqueFd stand_in, const image::TcpSocket& said);

}  // namespace godwit::objects
