#include "cli/move_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_code.h"
#include "cli/progress.h"

namespace godwit::cli {
namespace {

using testing::HasSubstr;

worker::Refusal refusal(int pid, int fd, uint64_t start, uint64_t end) {
  worker::Refusal r;
  r.set_code("socket.tcp.established");
  r.set_pid(pid);
  r.set_process("curl");
  r.set_fd(fd);
  r.set_start(start);
  r.set_end(end);
  r.set_what("a TCP connection");
  r.set_remedy("close it");
  return r;
}

MoveOutcome moved() {
  MoveOutcome outcome{
      .job = "node1-3", .name = "sim", .from = "node1", .to = "node2", .method = "total", .state = "moved"};
  outcome.report.set_freeze_ms(3.2);
  outcome.report.set_total_ms(125.5);
  outcome.report.set_downtime_ms(3.4);
  auto phase = [&](const char* name, double start, double length, const char* side) {
    worker::Phase* p = outcome.report.add_phases();
    p->set_name(name);
    p->set_start_ms(start);
    p->set_length_ms(length);
    p->set_side(side);
  };
  phase("skeleton", 1, 90, "destination");
  phase("freeze", 120, 0.2, "source");
  phase("memory", 120.2, 2, "source");
  phase("memory", 120.3, 2.5, "destination");
  outcome.report.set_pages_total(25600);
  outcome.report.set_pages_sent(20000);
  outcome.report.set_threads(5);
  outcome.report.set_processes(1);
  outcome.report.set_threads_immediate(4);
  outcome.report.set_threads_delayed(1);
  worker::FilePlan* file = outcome.report.add_files();
  file->set_path("/tmp/a\"b");
  file->set_origin("carried");
  file->set_bytes(10);
  return outcome;
}

TEST(MoveJson, HasEveryDocumentedKey) {
  EXPECT_EQ(
      move_json(moved()),
      R"({"job":"node1-3","name":"sim","from":"node1","to":"node2","method":"total","state":"moved","message":"",)"
      R"("freeze_ms":3.2,"downtime_ms":3.4,"total_ms":125.5,)"
      R"("phases_ms":{"skeleton":90,"freeze":0.2,"memory":2,"destination_memory":2.5},"processes":1,)"
      R"("threads":{"total":5,"immediate":4,"delayed":1},)"
      R"("pages":{"total":25600,"sent":20000,"zero":0,"redundant":0,"pushed":0,"on_request":0,"ahead":0,"ahead_used":0,"freed":0,"mirrored":0,"identical":0,)"
      R"("cached":0,"by_delta":0},"delta_bytes":0,"rounds":0,"switched_by_hand":false,"tracking_stop_ms":0,"slowed_ms":0,"least_processor_share":0,)"
      R"("bytes_sent":0,"streams":0,)"
      R"("compression":{"bytes":0,"compressed_to":0},"workers_peak_bytes":{"source":0,"destination":0},)"
      R"("files":[{"path":"/tmp/a\"b","origin":"carried","bytes":10,"why":""}],)"
      R"("residual_dependencies":[],"warning":"","refusals":[]})");
}

TEST(MoveJson, ListsRefusals) {
  MoveOutcome outcome{.job = "node1-3", .state = "refused", .message = "no"};
  outcome.refusals.push_back(refusal(7, 4, 0, 0));
  EXPECT_THAT(move_json(outcome),
              HasSubstr(R"("refusals":[{"code":"socket.tcp.established","pid":7,"process":"curl",)"
                        R"("fd":4,"start":0,"end":0,"what":"a TCP connection","remedy":"close it"}])"));
}

TEST(MoveText, SaysWhatHappenedAndDrawsIt) {
  std::string text = moved_text(moved(), 80);
  EXPECT_THAT(
      text, HasSubstr("sim (node1-3) moved from node1 to node2 by total freezing: frozen for 3.20 ms, 126 ms in all."));
  EXPECT_THAT(text, HasSubstr("<---- 3.20 ms ----->"));
  EXPECT_THAT(text, HasSubstr("5 in 1 process: 4 stopped at once, 1 when a system call ended"));
  EXPECT_THAT(text, HasSubstr("25,600 pages in use: 20,000 sent"));
  EXPECT_THAT(text, HasSubstr("1 carried (10 B)"));
  EXPECT_THAT(text, HasSubstr("left over  none"));
}

TEST(MoveText, WhatIsNotKnownIsNotToldAsNothing) {
  MoveOutcome outcome = moved();
  outcome.report = {};
  outcome.report.set_warning("the worker ended");
  std::string text = moved_text(outcome, 80);
  EXPECT_THAT(text, HasSubstr("how long it took is not known"));
  EXPECT_THAT(text, HasSubstr("the worker ended"));
  EXPECT_EQ(text.find("frozen for"), std::string::npos);
}

TEST(MoveText, RefusalsShowWhereWhatAndWhatHelps) {
  std::string table = refusal_table({refusal(7, 4, 0, 0), refusal(8, -1, 0x7f00, 0x8000), refusal(0, -1, 0, 0)}, 200);
  EXPECT_THAT(table, HasSubstr("7  curl     fd 4       a TCP connection  close it\n"));
  EXPECT_THAT(table, HasSubstr("8  curl     7f00-8000  a TCP connection  close it\n"));
  EXPECT_THAT(table, HasSubstr("-  curl     -          a TCP connection  close it\n"));
}

TEST(MoveText, DryRunSaysWhetherItWouldWork) {
  MoveOutcome outcome = moved();
  outcome.state = "dry_run";
  outcome.report.set_predicted_freeze_ms(10);
  EXPECT_THAT(dry_run_text(outcome, 80),
              HasSubstr("can move from node1 to node2 by total freezing: frozen for about 10"));
  outcome.method = "hybrid";
  EXPECT_THAT(dry_run_text(outcome, 80), HasSubstr("by hybrid: frozen for at most 10"));
  outcome.refusals.push_back(refusal(7, 4, 0, 0));
  EXPECT_THAT(dry_run_text(outcome, 80), HasSubstr("cannot move from node1 to node2; one thing is in the way"));
}

TEST(MoveText, ExitCodes) {
  auto code = [](const char* state) { return exit_code_of_move({.state = state}); };
  EXPECT_EQ(code("moved"), kDone);
  EXPECT_EQ(code("failed"), kFailed);
  EXPECT_EQ(code("refused"), kRefused);
  EXPECT_EQ(code("lost"), kLost);
  EXPECT_EQ(code("dry_run"), kDone);
  EXPECT_EQ(exit_code_of_wait_status(7 << 8), 7);
  EXPECT_EQ(exit_code_of_wait_status(9), 137);
  EXPECT_EQ(exit_code_of_wait_status(11 | 0x80), 139);
}

TEST(Progress, BarFitsTheScreen) {
  worker::WorkerEvent::Progress progress;
  progress.set_stage("memory");
  progress.set_done_bytes(64 << 20);
  progress.set_total_bytes(128 << 20);
  progress.set_elapsed_ms(412);
  for (size_t width : {10, 40, 79, 200}) EXPECT_LE(progress_bar("sim to node2", progress, width).size(), width);
  EXPECT_THAT(progress_bar("sim to node2", progress, 100), HasSubstr("#-"));
  EXPECT_THAT(progress_bar("sim to node2", progress, 100), HasSubstr("50 %"));
  EXPECT_EQ(progress_plain("sim to node2", progress), "sim to node2: memory, 64 MiB of 128 MiB after 412 ms");
  EXPECT_EQ(
      progress_json("j", progress),
      R"({"job":"j","stage":"memory","done_bytes":67108864,"total_bytes":134217728,"elapsed_ms":412,"round":0,)"
      R"("dirty_bytes_per_second":0,"link_bytes_per_second":0,"expected_freeze_ms":0,"left_bytes":0,"processor_share":0,"time_left_ms":null})");
}

TEST(Progress, TellsWhatIsLeftOfRounds) {
  worker::WorkerEvent::Progress progress;
  progress.set_stage("rounds");
  progress.set_round(3);
  progress.set_done_bytes(512 << 20);
  progress.set_left_bytes(40 << 20);
  progress.set_total_bytes(552 << 20);
  progress.set_dirty_rate(20 << 20);
  progress.set_bandwidth(100 << 20);
  progress.set_expected_freeze_ms(4);
  progress.set_elapsed_ms(412);
  EXPECT_THAT(time_left_ms(progress), testing::Optional(504.0));
  EXPECT_EQ(
      progress_plain("sim", progress),
      "sim: rounds, round 3, 512 MiB sent, 40 MiB left, 20 MiB/s dirty, freeze 4.00 ms, 504 ms to go after 412 ms");
  EXPECT_EQ(progress_bar("sim", progress, 80),
            "round 3, 512 MiB sent, 40 MiB left, 20 MiB/s dirty, freeze 4.00 ms, 504 ms to go");
  progress.set_dirty_rate(200 << 20);
  EXPECT_EQ(time_left_ms(progress), std::nullopt);
  progress.set_stage("pushing");
  progress.set_expected_freeze_ms(0);
  EXPECT_THAT(time_left_ms(progress), testing::Optional(400.0));
}

TEST(Progress, AutoIsABarOnATerminalOnly) {
  EXPECT_EQ(progress_style("auto", true), ProgressStyle::bar);
  EXPECT_EQ(progress_style("auto", false), ProgressStyle::none);
  EXPECT_EQ(progress_style("plain", true), ProgressStyle::plain);
}

}  // namespace
}  // namespace godwit::cli
