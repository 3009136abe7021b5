#include "cli/top_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

using testing::HasSubstr;

struct Shown {
  api::NodesReply nodes;
  api::ListJobsReply jobs;
  Shown() {
    api::Node* node = nodes.add_nodes();
    node->set_name("node1");
    node->set_up(true);
    node->set_load(0.5);
    api::Job* still = jobs.add_jobs();
    still->set_id("node1-1");
    still->set_state(api::RUNNING);
    api::Job* moving = jobs.add_jobs();
    moving->set_id("node1-2");
    moving->set_name("sim");
    moving->set_state(api::MOVING);
    moving->mutable_move()->set_to("node2");
    moving->mutable_move()->set_method("hybrid");
    auto* progress = moving->mutable_move()->mutable_progress();
    progress->set_stage("rounds");
    progress->set_round(3);
    progress->set_done_bytes(512 << 20);
    progress->set_left_bytes(40 << 20);
    progress->set_total_bytes(552 << 20);
  }
};

TEST(TopView, ShowsJobsThatMoveFirst) {
  Shown shown;
  std::string text = top_text(shown.nodes, shown.jobs, 0, 0, 0);
  EXPECT_THAT(text, HasSubstr("1 nodes, 2 jobs, 1 moving"));
  EXPECT_THAT(text, HasSubstr("to node2 by hybrid: rounds, round 3, 512 MiB sent, 40 MiB left"));
  EXPECT_LT(text.find("node1-2"), text.find("node1-1"));
}

TEST(TopView, FitsTheScreen) {
  Shown shown;
  std::string text = top_text(shown.nodes, shown.jobs, 0, 30, 5);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    EXPECT_LE(end - at, 30u);
    at = end + 1;
  }
}

TEST(TopView, JsonHasTheProgressOfAMove) {
  Shown shown;
  std::string json = top_json(shown.nodes, shown.jobs, 7);
  EXPECT_THAT(json, HasSubstr(R"({"unix_ms":7,"nodes":[{"node":"node1","up":true,)"));
  EXPECT_THAT(json,
              HasSubstr(R"("move":{"to":"node2","method":"hybrid","progress":{"job":"node1-2","stage":"rounds",)"));
  EXPECT_THAT(json, HasSubstr(R"("move":null})"));
}

}  // namespace
}  // namespace godwit::cli
