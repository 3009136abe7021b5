// Last words: connections that the program has closed while what it wrote to them is still on its way. They are the
// kernel's alone and no descriptor leads to them.
//
// In the freeze the source tells where each stands; the destination makes one that stands there too, which hears
// nothing yet. When the program runs there, the destination asks the peers up to where they have everything; the source
// takes out of its own connections what they still have to say from there on, and the destination's say it and are
// closed. What is not whole is reset, as the peer had better know.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "godwit/image.pb.h"
#include "sys/closed_connections.h"
#include "sys/peer_answers.h"
#include "sys/played_peer.h"
#include "sys/tcp_numbers.h"

namespace godwit::objects {

// The most that are moved at a time. Those within the job: words_within.h.
inline constexpr size_t kMostLastWords = 1024;

using ClosedImages = google::protobuf::RepeatedPtrField<image::TcpSocket>;
using ClosedNumbers = google::protobuf::RepeatedField<uint32_t>;
void tell(std::span<const sys::TcpStanding> closed, ClosedImages& into);

// At the source, when the job has left; blocks. Nothing in the image of one that was not heard to its end.
// `init_pidfd`: of the job. `peers_have`: by LastWordsRestore::ask_peers(). One for each.
Result<std::vector<image::TcpSocket>> hear_last_words(int init_pidfd, std::vector<sys::TcpStanding> closed,
                                                      std::span<const uint32_t> peers_have);

class LastWordsRestore {
 public:
  // In the calling thread's network namespace, in the freeze. `ends`: the number behind the end of each. `elapsed`:
  // since they were told. One that cannot be made is passed over; its peer learns so when it next says something.
  static Result<LastWordsRestore> make(const ClosedImages& closed, const ClosedNumbers& ends,
                                       std::chrono::nanoseconds elapsed);
  LastWordsRestore(LastWordsRestore&&) noexcept = default;
  LastWordsRestore& operator=(LastWordsRestore&&) = delete;
  // Resets those that have not spoken. Before the switchover nobody is told anything.
  ~LastWordsRestore();
  void commit() { committed_ = true; }

  size_t count() const { return connections_.size(); }
  // When packets can come and go: up to which number each peer has everything, as far as it can be learnt. Blocks.
  std::vector<uint32_t> ask_peers();
  // As hear_last_words() has it; each once, after ask_peers().
  Result<void> speak(size_t which, const image::TcpSocket& said);
  // And those within the job.
  void take(std::vector<UniqueFd> stand_ins) { within_ = std::move(stand_ins); }
  size_t count_within() const { return within_.size(); }
  Result<void> speak_within(size_t which, const image::TcpSocket& said);

 private:
  LastWordsRestore() = default;
  struct Connection {
    sys::TcpConnection connection;
    uint32_t end;
    UniqueFd fd;  // none: it could not be made, or has spoken
  };
  static Result<void> catch_up(Connection& speaker, uint32_t peer_has, const image::TcpSocket& said);
  std::vector<Connection> connections_;
  std::optional<sys::PeerAnswers> answers_;
  std::vector<uint32_t> peers_have_;
  std::vector<UniqueFd> within_;
  bool committed_ = false;
};

}  // namespace godwit::objects
