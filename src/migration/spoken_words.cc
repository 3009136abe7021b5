#include "migration/spoken_words.h"

#include <algorithm>

#include "migration/exchange.h"
#include "sys/namespaces.h"

namespace godwit::migration {

using transport::Connection;
using transport::FrameType;

constexpr std::chrono::seconds kPatience(10);

namespace {

std::vector<sys::LastWords> what_is_lost(std::vector<sys::LastWords> words, const ClosedEnds& closed,
                                         const std::vector<image::TcpSocket>& said) {
  auto erase = [&](size_t which, const auto& speaker) {
    if (said[which].state() == 0) return;
    std::erase_if(words, [&](const auto& each) { return each.local == speaker.local && each.peer == speaker.peer; });
  };
  size_t outside = closed.outside.size();
  for (size_t i = 0; i < outside; ++i) erase(i, closed.outside[i].connection);
  for (size_t i = 0; i < closed.within.size(); ++i) erase(outside + i, closed.within[i].words);
  return words;
}

// As hear_last_words() has it, for what its peers have; `why`: why not.
std::vector<image::TcpSocket> hear(pid_t init_pid, const std::vector<sys::TcpStanding>& closed,
                                   const wire::PeersHave& have, std::string& why) {
  std::vector<uint32_t> numbers(have.number().begin(), have.number().end());
  auto init = sys::open_pidfd(init_pid);
  auto said = init ? objects::hear_last_words(init->get(), closed, numbers) : std::unexpected(init.error());
  if (!said) why = said.error().message();
  return std::move(said).value_or(std::vector<image::TcpSocket>(closed.size()));
}

// One frame for each, whatever happens: pages may follow on the same connection.
Result<std::vector<image::TcpSocket>> hear_and_send(Connection& connection, pid_t init_pid, const ClosedEnds& closed,
                                                    std::string& why) {
  connection.set_patience(kPatience);
  auto have = TRY(receive<wire::PeersHave>(connection, FrameType::peers_have));
  auto said = closed.outside.empty() ? std::vector<image::TcpSocket>() : hear(init_pid, closed.outside, have, why);
  std::ranges::move(objects::hear_within(closed.within), std::back_inserter(said));
  for (image::TcpSocket& each : said) {
    if (each.ByteSizeLong() > transport::kMaxMessageBytes) each.Clear();
    TRY(connection.send(FrameType::closed_connection, each));
  }
  TRY(connection.flush());
  connection.be_patient();
  return said;
}

}  // namespace

Result<ClosedEnds> tell_closed(objects::SocketCapture& sockets, std::vector<sys::LastWords>& words,
                               wire::FinalState& state) {
  ClosedEnds closed;
  closed.outside = TRY(sockets.standings(words));
  objects::tell(closed.outside, *state.mutable_closed());
  for (const sys::TcpStanding& each : closed.outside) state.add_closed_ends(each.send_end);
  closed.within = TRY(sockets.readers_within(words, *state.mutable_host()));
  return closed;
}

LostWords pass_on_last_words(Connection& connection, pid_t init_pid, std::vector<sys::LastWords> words,
                             const ClosedEnds& closed) {
  if (closed.outside.empty() && closed.within.empty()) return {std::move(words), ""};
  std::string why;
  auto said = hear_and_send(connection, init_pid, closed, why);
  if (!said) {
    connection.shut_down();  // where pages follow the other side comes again
    return {std::move(words), said.error().message()};
  }
  return {what_is_lost(std::move(words), closed, *said), why};
}

namespace {

Result<void> hear_and_speak(Connection& connection, objects::LastWordsRestore& closed) {
  wire::PeersHave have;
  for (uint32_t number : closed.ask_peers()) have.add_number(number);
  TRY(connection.send(FrameType::peers_have, have));
  TRY(connection.flush());
  connection.set_patience(kPatience);
  for (size_t i = 0; i < closed.count(); ++i) {
    auto said = TRY(receive<image::TcpSocket>(connection, FrameType::closed_connection));
    (void)closed.speak(i, said);  // one that cannot is reset
  }
  for (size_t i = 0; i < closed.count_within(); ++i) {
    auto said = TRY(receive<image::TcpSocket>(connection, FrameType::closed_connection));
    (void)closed.speak_within(i, said);
  }
  connection.be_patient();
  return {};
}

}  // namespace

void receive_last_words(Connection& connection, objects::LastWordsRestore closed) {
  closed.commit();
  bool some = closed.count() + closed.count_within() > 0;
  if (some && !hear_and_speak(connection, closed)) connection.shut_down();  // pages are asked for again
}

}  // namespace godwit::migration
