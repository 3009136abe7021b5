#include "cli/report_svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

MoveOutcome moved() {
  MoveOutcome outcome{
      .job = "node1-3", .name = "a<b", .from = "node1", .to = "node2", .method = "hybrid", .state = "moved"};
  outcome.report.set_freeze_ms(4);
  outcome.report.set_total_ms(1000);
  worker::Phase* freeze = outcome.report.add_phases();
  freeze->set_name("freeze");
  freeze->set_side("source");
  freeze->set_start_ms(500);
  freeze->set_length_ms(1);
  worker::Phase* memory = outcome.report.add_phases();
  memory->set_name("memory");
  memory->set_side("source");
  memory->set_start_ms(501);
  memory->set_length_ms(3);
  return outcome;
}

void add_sample(MoveOutcome& outcome, double at_ms, uint64_t bytes, uint64_t pages) {
  worker::Sample* sample = outcome.report.add_samples();
  sample->set_at_ms(at_ms);
  sample->set_bytes_sent(bytes);
  sample->set_pages_on_request(pages);
}

TEST(ReportSvg, DrawsBothSidesAndTheFreezeToScale) {
  std::string svg = report_svg(moved());
  EXPECT_THAT(svg, HasSubstr("a&lt;b moved from node1 to node2"));
  EXPECT_THAT(svg, HasSubstr(">frozen for 4.00 ms</title>"));
  // From half of the way, 0.4 % of it long.
  EXPECT_THAT(svg, HasSubstr(R"(<rect x="525.0" y="66.0" width="3.2")"));
  // Enlarged: the second phase is the last three quarters.
  EXPECT_THAT(svg, HasSubstr(">memory: 3.00 ms</title>"));
  EXPECT_THAT(svg, HasSubstr(R"(<rect x="322.5")"));
}

TEST(ReportSvg, NeedsNothingFromOutside) {
  std::string svg = report_svg(moved());
  EXPECT_THAT(svg, Not(HasSubstr("href")));
  EXPECT_THAT(svg, Not(HasSubstr("url(")));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme"));
}

TEST(ReportSvg, ShowsRoundsAndRequestsWhereThereWereSome) {
  MoveOutcome outcome = moved();
  EXPECT_THAT(report_svg(outcome), Not(HasSubstr("sent in each round")));
  worker::RoundReport* round = outcome.report.add_rounds_made();
  round->set_start_ms(100);
  round->set_length_ms(200);
  round->set_bytes(64 << 20);
  round->set_dirty_rate(1e6);
  add_sample(outcome, 0, 0, 0);
  add_sample(outcome, 500, 50'000'000, 0);
  add_sample(outcome, 1000, 60'000'000, 100);
  outcome.report.set_pages_on_request(100);
  std::string svg = report_svg(outcome);
  EXPECT_THAT(svg, HasSubstr("round 1: 64 MiB in 200 ms"));
  EXPECT_THAT(svg, HasSubstr("95 MiB/s"));  // 50 MB in half a second
  EXPECT_THAT(svg, HasSubstr("200/s"));     // 100 pages in half a second
}

TEST(ReportSvg, SurvivesAReportWithoutFigures) {
  EXPECT_THAT(report_svg({.job = "node1-3", .state = "moved"}), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace godwit::cli
