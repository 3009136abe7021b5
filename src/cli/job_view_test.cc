#include "cli/job_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

using testing::HasSubstr;

api::Job sample() {
  api::Job job;
  job.set_id("node1-7");
  job.set_name("sim");
  job.set_node("node2");
  job.set_home("node1");
  job.set_state(api::RUNNING);
  job.set_epoch(3);
  job.set_user("root");
  for (const char* word : {"sh", "-c", "echo 'a b'"}) job.add_command(word);
  job.set_started_unix_ms(1'000'000);
  job.set_processes(2);
  job.set_threads(5);
  job.set_memory_bytes(12 << 20);
  return job;
}

TEST(JobView, TheCommandCouldBeTypedAgain) { EXPECT_EQ(command_line_of(sample()), R"(sh -c 'echo '\''a b'\''')"); }

TEST(JobView, TableHasALineForEachJob) {
  api::ListJobsReply jobs;
  *jobs.add_jobs() = sample();
  EXPECT_EQ(job_table(jobs, 1'065'000),
            "JOB      NAME  NODE   STATE    PROCESSES  MEMORY  EPOCH      AGE  COMMAND\n"
            "node1-7  sim   node2  running          2  12 MiB      3  1 m 5 s  sh -c 'echo '\\''a b'\\'''\n");
}

TEST(JobView, TableHasPortsWhenThereAreAny) {
  api::ListJobsReply jobs;
  *jobs.add_jobs() = sample();
  api::Publication& port = *jobs.mutable_jobs(0)->add_published();
  port.set_node_port(8080);
  port.set_job_port(80);
  EXPECT_THAT(job_table(jobs, 1'065'000), HasSubstr("1 m 5 s  8080->80/tcp  sh -c"));
}

TEST(JobView, JsonHasEveryDocumentedKey) {
  JsonWriter json;
  add_job(json, sample());
  EXPECT_EQ(
      json.text(),
      R"({"job":"node1-7","name":"sim","node":"node2","home":"node1","state":"running","epoch":3,"user":"root",)"
      R"("uid":0,"command":["sh","-c","echo 'a b'"],"working_directory":"","started_unix_ms":1000000,)"
      R"("ended_unix_ms":0,"processes":2,"threads":5,"memory_bytes":12582912,"terminal":false,"vip":null,)"
      R"("vip6":null,"forwarding":"","partners":[],"published":[],"exit_code":null,"consoles":[],"residual_dependencies":[],"last_move":null})");
}

TEST(JobView, AnEndedJobSaysHow) {
  api::Job job = sample();
  job.set_state(api::ENDED);
  job.set_exit_status(9);
  EXPECT_THAT(job_text(job, 2'000'000, 80), HasSubstr("was killed by signal 9 (Killed)"));
  JsonWriter json;
  add_job(json, job);
  EXPECT_THAT(json.text(), HasSubstr(R"("exit_code":137)"));
}

}  // namespace
}  // namespace godwit::cli
