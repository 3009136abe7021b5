#include "address_space/streams_choice.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace godwit::address_space {
namespace {

// A node whose processors each send `per_processor`, over a link that carries `link` bytes per second.
struct Node {
  double per_processor = 1e9;
  double link = 1e11;
  double processors = 16;
  double others = 0;  // processors that something else uses

  StreamsChoice::Interval interval(uint32_t streams) const {
    double able = std::min(static_cast<double>(streams), processors - others) * per_processor;
    double rate = std::min(able, link);
    double busy = rate / per_processor;
    return {0.2, static_cast<uint64_t>(rate * 0.2), busy * 0.2, processors - others - busy};
  }
  uint32_t settles_at() const {
    StreamsChoice choice;
    for (int i = 0; i < 40; ++i) choice.after(interval(choice.streams()));
    return choice.streams();
  }
};

TEST(StreamsChoice, OneWhereTheLinkIsSlow) { EXPECT_EQ(Node({.link = 1.2e8}).settles_at(), 1u); }

TEST(StreamsChoice, OneWhereNoProcessorIsFree) {
  EXPECT_EQ(Node({.processors = 2, .others = 1}).settles_at(), 1u);
  EXPECT_EQ(Node({.processors = 1}).settles_at(), 1u);
}

TEST(StreamsChoice, AsManyAsFillTheLink) {
  EXPECT_EQ(Node({.link = 3e9}).settles_at(), 3u);
  EXPECT_EQ(Node({.link = 2.5e9}).settles_at(), 3u);
}

TEST(StreamsChoice, AsManyAsThereAreProcessors) { EXPECT_EQ(Node({.processors = 4}).settles_at(), 4u); }

TEST(StreamsChoice, NeverMoreThanTheMost) { EXPECT_EQ(Node({.processors = 64}).settles_at(), StreamsChoice::kMost); }

TEST(StreamsChoice, OneThatCarriesNothingMoreIsGivenUp) {
  StreamsChoice choice;
  StreamsChoice::Interval same{0.2, 200'000'000, 0.19, 6};
  EXPECT_EQ(choice.after(same), 2u);
  EXPECT_EQ(choice.after(same), 2u);  // it is being made
  same.busy_seconds = 0.38;
  EXPECT_EQ(choice.after(same), 1u);
  same.busy_seconds = 0.19;
  EXPECT_EQ(choice.after(same), 1u);
}

TEST(StreamsChoice, OneIsAskedAgainWhenTheProcessorsBecomeFree) {
  StreamsChoice choice;
  StreamsChoice::Interval now{0.2, 200'000'000, 0.19, 0.4};
  EXPECT_EQ(choice.after(now), 1u);
  now.idle_processors = 3;
  EXPECT_EQ(choice.after(now), 2u);
}

}  // namespace
}  // namespace godwit::address_space
