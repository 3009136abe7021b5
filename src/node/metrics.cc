#include "node/metrics.h"

#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <prometheus/metric_type.h>

#include <limits>
#include <vector>

#include "node/daemon.h"

namespace godwit::node {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Page {
 public:
  void family(MetricType type, const std::string& name, const std::string& help) {
    families_.push_back({"godwit_" + name, help, type, {}});
  }
  void value(double number, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    (families_.back().type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) = number;
    families_.back().metric.push_back(std::move(metric));
  }
  void single(MetricType type, const std::string& name, const std::string& help, uint64_t number) {
    family(type, name, help);
    value(static_cast<double>(number));
  }
  void freezes(const MoveTally& moves) {
    ClientMetric metric;
    uint64_t below = 0;
    for (size_t at = 0; at < moves.freezes.size(); ++at) {
      below += moves.freezes[at];
      metric.histogram.bucket.push_back({below, MoveTally::kFreezeBoundsMs[at] / 1000});
    }
    metric.histogram.bucket.push_back({moves.freezes_in_all, std::numeric_limits<double>::infinity()});
    metric.histogram.sample_count = moves.freezes_in_all;
    metric.histogram.sample_sum = moves.freeze_sum_ms / 1000;
    families_.back().metric.push_back(std::move(metric));
  }
  std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

std::vector<MetricFamily> page_of(const Figures& figures) {
  Page page;
  page.family(MetricType::Gauge, "jobs", "Jobs on this node by state.");
  for (const auto& [state, count] : figures.jobs) page.value(static_cast<double>(count), {{"state", state}});
  page.family(MetricType::Gauge, "moves_under_way", "Moves from this node and to it that have not ended.");
  page.value(static_cast<double>(figures.leaving), {{"direction", "from"}});
  page.value(static_cast<double>(figures.arriving), {{"direction", "to"}});
  const MoveTally& moves = figures.moves;
  page.family(MetricType::Counter, "moves_total", "Moves from this node by method and by how they ended.");
  for (const auto& [kind, count] : moves.ended) {
    page.value(static_cast<double>(count), {{"method", kind.first}, {"result", kind.second}});
  }
  page.family(MetricType::Histogram, "move_freeze_seconds", "How long jobs stood still when they left this node.");
  page.freezes(moves);
  page.single(MetricType::Counter, "move_sent_bytes_total", "Sent for jobs that left.", moves.bytes_sent);
  page.single(MetricType::Counter, "move_rounds_total", "Rounds of pre-copy for jobs that left.", moves.rounds);
  page.single(MetricType::Counter, "move_redundant_pages_total", "Pages sent more than once.", moves.pages_redundant);
  page.single(MetricType::Counter, "move_requests_total", "Requests for pages that running programs had touched.",
              moves.requests);
  page.single(MetricType::Counter, "move_requested_pages_total", "Pages sent in answer to requests.",
              moves.pages_on_request);
  const api::MessageCounts& messages = figures.messages;
  page.family(MetricType::Counter, "messages_total", "Messages for jobs that were moving or had moved, by their fate.");
  page.value(static_cast<double>(messages.held()), {{"fate", "held"}});
  page.value(static_cast<double>(messages.forwarded()), {{"fate", "forwarded"}});
  page.value(static_cast<double>(messages.resent()), {{"fate", "resent"}});
  page.value(static_cast<double>(messages.dropped()), {{"fate", "dropped"}});
  page.single(MetricType::Counter, "jobs_located_total", "Times that this node found out where a job is.",
              messages.located());
  return page.take();
}

class Lookup final : public prometheus::Collectable {
 public:
  explicit Lookup(Daemon& daemon) : daemon_(daemon) {}
  std::vector<MetricFamily> Collect() const override { return page_of(daemon_.figures()); }

 private:
  Daemon& daemon_;
};

class Server final : public MetricsServer {
 public:
  Server(Daemon& daemon, const std::string& address) : lookup_(std::make_shared<Lookup>(daemon)), http_(address, 1) {
    http_.RegisterCollectable(lookup_);
  }

 private:
  std::shared_ptr<Lookup> lookup_;
  prometheus::Exposer http_;
};

}  // namespace

Result<std::unique_ptr<MetricsServer>> MetricsServer::start(Daemon& daemon, const std::string& address) {
  try {
    return std::unique_ptr<MetricsServer>(std::make_unique<Server>(daemon, address));
  } catch (const std::exception& wrong) {
    return error(ErrorKind::failed, "cannot serve metrics on " + address + ": " + wrong.what());
  }
}

}  // namespace godwit::node
