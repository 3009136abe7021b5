#include "forwarding/mechanism.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>

namespace godwit::forwarding {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using State = Word::State;

// A node whose routes are a list of words and whose conversations are answered from a script.
class FakeNode : public Surroundings {
 public:
  std::vector<std::string> done;
  std::map<std::string, std::deque<Result<Word>>> answers;  // by node, "directory" or "everybody"
  std::map<std::string, std::deque<bool>> notes;            // whether a node takes note; it does unless said otherwise
  std::deque<std::function<void()>> later;
  std::optional<Link> link;

  // Lets time pass.
  void run() {
    for (int i = 0; i < 100 && !later.empty(); ++i) {
      auto work = std::move(later.front());
      later.pop_front();
      work();
    }
  }

  const std::string& self() const override { return name_; }
  std::string home_of(VirtualAddress address) const override { return "node" + std::to_string(address.home()); }
  void link_to(VirtualAddress, const std::string& node) override { done.push_back("link " + node); }
  void unlink(VirtualAddress) override { done.emplace_back("unlink"); }
  void end_diversion(VirtualAddress) override { done.emplace_back("end diversion"); }
  void release(VirtualAddress) override { done.emplace_back("release"); }
  void drop_waiting(VirtualAddress) override { done.emplace_back("drop waiting"); }
  void refuse_waiting(VirtualAddress) override { done.emplace_back("refuse"); }
  void drop_passing(VirtualAddress, bool drop) override { done.emplace_back(drop ? "drop passing" : "let pass"); }
  void tell(const std::string& node, const Word& word, std::function<void(bool)> noted) override {
    static const char* const kStates[] = {"here", "frozen", "elsewhere", "unknown"};
    done.push_back("tell " + node + " " + kStates[static_cast<int>(word.state)] + " " + word.node + " " +
                   std::to_string(word.version));
    bool answer = true;
    if (auto& script = notes[node]; !script.empty()) {
      answer = script.front();
      script.pop_front();
    }
    if (noted) noted(answer);
  }
  void ask(const std::string& node, VirtualAddress, Heard heard) override { answer("ask " + node, node, heard); }
  void ask_directory(VirtualAddress, Heard heard) override { answer("directory", "directory", heard); }
  void ask_everybody(VirtualAddress, Heard heard) override { answer("everybody", "everybody", heard); }
  void after(std::chrono::milliseconds, std::function<void()> work) override { later.push_back(std::move(work)); }
  Link* find_link(VirtualAddress) override { return link ? &*link : nullptr; }

 private:
  void answer(const std::string& said, const std::string& who, const Heard& heard) {
    done.push_back(said);
    auto& script = answers[who];
    if (script.empty()) return heard(error(ErrorKind::peer_lost, who + " does not answer"));
    auto word = std::move(script.front());
    script.pop_front();
    heard(std::move(word));
  }
  std::string name_ = "node1";
};

class MechanismTest : public testing::Test {
 protected:
  VirtualAddress address_ = VirtualAddress::of(1, 7);
  Move move_{address_, "node1-7", "node2", "node1", {"node1", "node2", "node3", "node4"}, 10};
  FakeNode node_;
  Word word(State state, const std::string& node, const std::string& mechanism = "update") {
    return {address_, state, node, mechanism, 5};
  }
};

TEST_F(MechanismTest, UpdateTellsPartnersAndLinksToTheDestination) {
  EXPECT_TRUE(update().waits_at_destination());
  update().freezing(move_, node_);
  EXPECT_THAT(node_.done, ElementsAre("tell node3 here node2 10", "tell node4 here node2 10"));
  node_.done.clear();
  update().left(move_, node_);
  EXPECT_THAT(node_.done, ElementsAre("link node2", "end diversion", "release", "tell node3 here node2 10",
                                      "tell node4 here node2 10"));
}

TEST_F(MechanismTest, UpdateTakesItsWordBackWhenTheMoveFails) {
  update().stayed(move_, node_);
  EXPECT_THAT(node_.done, ElementsAre("tell node3 here node1 11", "tell node4 here node1 11"));
}

// The source's word may have been lost with the source.
TEST_F(MechanismTest, UpdateTellsPartnersFromTheDestinationUntilTheyTakeNote) {
  node_.notes["node4"] = {false, false, true};
  Move move{address_, "node1-7", "node1", "node2", {"node1", "node3", "node4"}, 10};
  update().arrived(move, node_);
  EXPECT_THAT(node_.done, ElementsAre("tell node3 here node1 10", "tell node4 here node1 10"));
  node_.run();
  EXPECT_THAT(node_.done, ElementsAre("tell node3 here node1 10", "tell node4 here node1 10",
                                      "tell node4 here node1 10", "tell node4 here node1 10"));
}

TEST_F(MechanismTest, TellingAgainEnds) {
  node_.notes["node3"] = std::deque<bool>(100, false);
  bool ended = false;
  tell_until_noted("node3", word(State::here, "node1"), node_, [&] { ended = true; });
  EXPECT_FALSE(ended);
  node_.run();
  EXPECT_TRUE(ended);
  EXPECT_EQ(node_.done.size(), 21);
}

TEST_F(MechanismTest, OriginTellsHomeFromTheDestinationAsWell) {
  origin().arrived({address_, "node1-7", "node1", "node2", {"node3"}, 10}, node_);
  EXPECT_THAT(node_.done, ElementsAre("tell node2 here node1 10"));
  node_.done.clear();
  origin().arrived({address_, "node1-7", "node1", "node1", {"node3"}, 10}, node_);
  EXPECT_THAT(node_.done, IsEmpty());
}

TEST_F(MechanismTest, TraversalTellsNobodyUntilTheLinkIsUsed) {
  node_.link = Link{address_, "node2", "traversal", 10, {}};
  traversal().freezing(move_, node_);
  EXPECT_THAT(node_.done, IsEmpty());
  traversal().left(move_, node_);
  EXPECT_THAT(node_.done, ElementsAre("link node2", "end diversion", "release"));
  EXPECT_THAT(node_.link->upstream, ElementsAre("node3", "node4"));
  node_.done.clear();
  traversal().link_used(*node_.link, node_);
  EXPECT_THAT(node_.done, ElementsAre("tell node3 here node2 10", "tell node4 here node2 10"));
  node_.done.clear();
  traversal_uncompressed().link_used(*node_.link, node_);
  EXPECT_THAT(node_.done, IsEmpty());
}

TEST_F(MechanismTest, OriginLinksToTheDestinationFromHomeOnly) {
  origin().left(move_, node_);
  EXPECT_THAT(node_.done, ElementsAre("link node2", "end diversion", "release"));
  node_.done.clear();
  move_.home = "node4";
  origin().left(move_, node_);
  EXPECT_THAT(node_.done, ElementsAre("tell node4 here node2 10", "link node4", "end diversion", "release"));
}

TEST_F(MechanismTest, OriginHoldsUntilHomeKnows) {
  move_.home = "node4";
  node_.notes["node4"] = {false, false, true};
  origin().left(move_, node_);
  EXPECT_THAT(node_.done, ElementsAre("tell node4 here node2 10"));
  node_.run();
  EXPECT_THAT(node_.done, ElementsAre("tell node4 here node2 10", "tell node4 here node2 10",
                                      "tell node4 here node2 10", "link node4", "end diversion", "release"));
}

TEST_F(MechanismTest, OriginSendsHomeWhereverItIs) {
  VirtualAddress of_another = VirtualAddress::of(3, 1);
  origin().heard({of_another, State::here, "node2", "origin", 5}, node_);
  EXPECT_THAT(node_.done, ElementsAre("link node3", "release"));
  node_.done.clear();
  origin().heard(word(State::here, "node2", "origin"), node_);  // this node is its home
  EXPECT_THAT(node_.done, ElementsAre("link node2", "release"));
}

TEST_F(MechanismTest, ResendDropsAndBroadcasts) {
  resend().left(move_, node_);
  EXPECT_THAT(node_.done, ElementsAre("drop passing", "unlink", "end diversion", "drop waiting"));
  node_.done.clear();
  resend().no_answer(Link{address_, "node1", "resend", 5, {}}, node_);
  node_.answers["everybody"].emplace_back(word(State::here, "node2", "resend"));
  resend().wanted(address_, node_);
  EXPECT_THAT(node_.done, ElementsAre("unlink", "everybody", "link node2", "release"));
}

TEST_F(MechanismTest, ResendDropsWhatNobodyKnows) {
  resend().wanted(address_, node_);
  EXPECT_THAT(node_.done, ElementsAre("everybody", "drop waiting"));
}

TEST_F(MechanismTest, ResendNotifyAnswersSenders) {
  resend_notify().freezing(move_, node_);
  EXPECT_THAT(node_.done, IsEmpty());  // only when a message comes
  resend_notify().wanted_while_frozen(move_, node_);
  EXPECT_THAT(node_.done,
              ElementsAre("tell node2 frozen node1 10", "tell node3 frozen node1 10", "tell node4 frozen node1 10"));
  node_.done.clear();
  resend_notify().left(move_, node_);
  EXPECT_THAT(node_.done,
              ElementsAre("drop passing", "unlink", "end diversion", "drop waiting", "tell node2 unknown node1 10",
                          "tell node3 unknown node1 10", "tell node4 unknown node1 10"));
}

TEST_F(MechanismTest, ResendNotifyHoldsUntilItIsThawedOrFound) {
  node_.answers["node4"] = {word(State::frozen, "node4"), word(State::unknown, "")};
  node_.answers["everybody"] = {error(ErrorKind::gone, "between"), word(State::here, "node2")};
  resend_notify().heard(word(State::frozen, "node4", "resend-notify"), node_);
  EXPECT_THAT(node_.done, ElementsAre("unlink"));
  node_.run();
  EXPECT_THAT(node_.done, ElementsAre("unlink", "ask node4", "ask node4", "everybody", "ask node4", "everybody",
                                      "link node2", "release"));
}

TEST_F(MechanismTest, SearchAsksTheDirectoryThenTheNode) {
  node_.answers["directory"].emplace_back(word(State::elsewhere, "node3"));
  node_.answers["node3"].emplace_back(word(State::here, "node3"));
  search(address_, node_);
  EXPECT_THAT(node_.done, ElementsAre("directory", "ask node3", "link node3", "release"));
}

TEST_F(MechanismTest, SearchFollowsOneThatMovesOn) {
  node_.answers["directory"] = {word(State::elsewhere, "node3"), word(State::elsewhere, "node2")};
  node_.answers["node3"].emplace_back(word(State::unknown, ""));
  node_.answers["node2"].emplace_back(word(State::here, "node2"));
  search(address_, node_);
  node_.run();
  EXPECT_THAT(node_.done, ElementsAre("directory", "ask node3", "directory", "ask node2", "link node2", "release"));
}

TEST_F(MechanismTest, SearchAsksEverybodyWhenTheDirectoryIsSilent) {
  node_.answers["everybody"].emplace_back(word(State::here, "node4"));
  search(address_, node_);
  EXPECT_THAT(node_.done, ElementsAre("directory", "everybody", "link node4", "release"));
}

TEST_F(MechanismTest, SearchLetsPacketsWaitWhenNobodyCanBeAsked) {
  update().wanted(address_, node_);
  node_.run();
  EXPECT_THAT(node_.done, ElementsAre("directory", "everybody"));
}

TEST_F(MechanismTest, SearchRefusesWhatIsNot) {
  node_.answers["directory"].emplace_back(error(ErrorKind::gone, "no job"));
  search(address_, node_);
  EXPECT_THAT(node_.done, ElementsAre("directory", "refuse"));
}

TEST_F(MechanismTest, SearchEnds) {
  for (int i = 0; i < 100; ++i) {
    node_.answers["directory"].emplace_back(word(State::elsewhere, "node3"));
    node_.answers["node3"].emplace_back(word(State::elsewhere, "node3"));
  }
  search(address_, node_);
  node_.run();
  EXPECT_EQ(node_.done.back(), "refuse");
}

TEST(MechanismNamesTest, AreFoundAndListed) {
  for (const char* name : {"update", "origin", "traversal", "traversal-uncompressed", "resend", "resend-notify"}) {
    auto found = find_mechanism(name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ((*found)->name(), name);
  }
  EXPECT_EQ(find_mechanism("pigeons").error().kind, ErrorKind::unsupported);
}

}  // namespace
}  // namespace godwit::forwarding
