#include "ports/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace builder::ports {

namespace {

const prometheus::Histogram::BucketBoundaries k_phase_seconds{
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800};

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

struct Metrics::Families {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Gauge>& queue =
      gauge("deployra_builder_queue_length", "Jobs waiting in the platform's queue.");
  prometheus::Family<prometheus::Gauge>& running =
      gauge("deployra_builder_builds_running", "Deployments this worker runs now.");
  prometheus::Family<prometheus::Gauge>& ready =
      gauge("deployra_builder_ready", "1 when the worker takes jobs.");
  prometheus::Family<prometheus::Gauge>& paused = gauge(
      "deployra_builder_paused", "1 while the worker was asked to take no jobs (pause, SIGUSR2).");
  prometheus::Family<prometheus::Gauge>& disk_free =
      gauge("deployra_builder_disk_free_bytes", "Free space where builds write.");
  prometheus::Family<prometheus::Gauge>& host_short =
      gauge("deployra_builder_host_short", "1 while the host refuses builds for want of it.");
  prometheus::Family<prometheus::Gauge>& evictable =
      gauge("deployra_builder_queue_evictable", "1 when Redis may throw the queue away.");
  prometheus::Family<prometheus::Gauge>& guarantee = gauge(
      "deployra_builder_queue_guarantee", "1 for what the queue can promise: A, B, C or none.");
  prometheus::Family<prometheus::Counter>& finished =
      counter("deployra_builder_builds_total", "Deployments ended, by result.");
  prometheus::Family<prometheus::Counter>& failures = counter(
      "deployra_builder_failures_total", "Deployments failed, by whose matter it is and why.");
  prometheus::Family<prometheus::Counter>& reused =
      counter("deployra_builder_images_reused_total",
              "Deployments whose image had been made of the same things before.");
  prometheus::Family<prometheus::Counter>& malformed =
      counter("deployra_builder_malformed_jobs_total", "Queue elements that were not jobs.");
  prometheus::Family<prometheus::Counter>& dead_letters =
      counter("deployra_builder_dead_letters_total",
              "Deployments whose end the platform will never take, by reason.");
  prometheus::Family<prometheus::Counter>& pushed =
      counter("deployra_builder_pushed_bytes_total", "Image bytes uploaded to the registry.");
  prometheus::Family<prometheus::Counter>& context =
      counter("deployra_builder_context_bytes_total", "Build context bytes sent to the engine.");
  prometheus::Family<prometheus::Counter>& searches =
      counter("deployra_builder_image_searches_total", "Images searched for secrets, by result.");
  prometheus::Family<prometheus::Counter>& attestations =
      counter("deployra_builder_image_attestations_total",
              "Images that provenance was to be attached to, by result.");
  prometheus::Family<prometheus::Counter>& sboms =
      counter("deployra_builder_image_sboms_total",
              "Images that an SBOM was to be attached to, by result.");
  prometheus::Family<prometheus::Counter>& searched =
      counter("deployra_builder_image_searched_bytes_total",
              "Unpacked bytes of layers that were searched for secrets.");
  prometheus::Family<prometheus::Counter>& posts = counter(
      "deployra_builder_api_posts_total", "Posts to the platform's API, by kind and result.");
  prometheus::Family<prometheus::Counter>& retries =
      counter("deployra_builder_api_retries_total", "Posts that had to be repeated, by kind.");
  prometheus::Family<prometheus::Counter>& lines =
      counter("deployra_builder_log_lines_total", "Build log lines delivered to the platform.");
  prometheus::Family<prometheus::Counter>& dropped =
      counter("deployra_builder_log_lines_dropped_total",
              "Build log lines that were not delivered; the log says where.");
  prometheus::Family<prometheus::Counter>& service_log_dropped =
      counter("deployra_builder_service_log_lines_dropped_total",
              "Lines of the service log that its reader did not take.");
  prometheus::Family<prometheus::Counter>& history_lost =
      counter("deployra_builder_history_rows_lost_total",
              "Rows of build logs that the history could not be given in time.");
  prometheus::Family<prometheus::Histogram>& phases =
      histogram("deployra_builder_phase_seconds", "Time spent in each phase of a deployment.");
  prometheus::Family<prometheus::Histogram>& waits =
      histogram("deployra_builder_queue_wait_seconds",
                "From the moment this worker first saw a job to its start.");

  prometheus::Family<prometheus::Gauge>& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }

  prometheus::Family<prometheus::Counter>& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }

  prometheus::Family<prometheus::Histogram>& histogram(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {
  // A series that exists from the start shows as 0 instead of "no data".
  for (const char* result : {"builded", "failed", "cancelled", "superseded", "requeued", "gone"}) {
    families_->finished.Add({{"result", result}});
  }
  set_queue_length(0);
  set_ready(false);
  families_->running.Add({}).Set(0);
  families_->reused.Add({});
  for (const char* result : {"clean", "secret", "incomplete", "failed"}) {
    families_->searches.Add({{"result", result}});
  }
  families_->malformed.Add({});
  for (const char* reason : {"unknown", "built_before", "undelivered"}) {
    families_->dead_letters.Add({{"reason", reason}});
  }
  log_lines_dropped(0);
  history_rows_lost(0);
}

Metrics::~Metrics() = default;

void Metrics::set_queue_length(std::size_t length) {
  families_->queue.Add({}).Set(static_cast<double>(length));
}

void Metrics::build_started() {
  families_->running.Add({}).Increment();
}

void Metrics::build_finished(std::string_view result) {
  families_->running.Add({}).Decrement();
  families_->finished.Add({{"result", std::string(result)}}).Increment();
}

void Metrics::failed(std::string_view category, std::string_view reason) {
  families_->failures.Add({{"category", std::string(category)}, {"reason", std::string(reason)}})
      .Increment();
}

void Metrics::phase_took(std::string_view phase, std::chrono::steady_clock::duration duration) {
  families_->phases.Add({{"phase", std::string(phase)}}, k_phase_seconds)
      .Observe(seconds(duration));
}

void Metrics::queue_wait(std::chrono::steady_clock::duration duration) {
  families_->waits.Add({}, k_phase_seconds).Observe(seconds(duration));
}

void Metrics::bytes_pushed(std::uint64_t bytes) {
  families_->pushed.Add({}).Increment(static_cast<double>(bytes));
}

void Metrics::context_bytes_sent(std::uint64_t bytes) {
  families_->context.Add({}).Increment(static_cast<double>(bytes));
}

void Metrics::image_searched(std::string_view result) {
  families_->searches.Add({{"result", std::string(result)}}).Increment();
}

void Metrics::image_attested(std::string_view result) {
  families_->attestations.Add({{"result", std::string(result)}}).Increment();
}

void Metrics::image_described(std::string_view result) {
  families_->sboms.Add({{"result", std::string(result)}}).Increment();
}

void Metrics::image_bytes_searched(std::uint64_t bytes) {
  families_->searched.Add({}).Increment(static_cast<double>(bytes));
}

void Metrics::api_post(std::string_view kind, std::string_view result) {
  families_->posts.Add({{"kind", std::string(kind)}, {"result", std::string(result)}}).Increment();
}

void Metrics::api_retry(std::string_view kind) {
  families_->retries.Add({{"kind", std::string(kind)}}).Increment();
}

void Metrics::log_lines(std::uint64_t lines) {
  families_->lines.Add({}).Increment(static_cast<double>(lines));
}

void Metrics::log_lines_dropped(std::uint64_t lines) {
  families_->dropped.Add({}).Increment(static_cast<double>(lines));
}

void Metrics::service_log_dropped(std::uint64_t lines) {
  auto& counter = families_->service_log_dropped.Add({});
  counter.Increment(static_cast<double>(lines) - counter.Value());
}

void Metrics::history_rows_lost(std::uint64_t rows) {
  families_->history_lost.Add({}).Increment(static_cast<double>(rows));
}

void Metrics::image_reused() {
  families_->reused.Add({}).Increment();
}

void Metrics::malformed_job() {
  families_->malformed.Add({}).Increment();
}

void Metrics::dead_letter(std::string_view reason) {
  families_->dead_letters.Add({{"reason", std::string(reason)}}).Increment();
}

void Metrics::set_guarantee(std::string_view level) {
  for (const std::string_view known : {"A", "B", "C", "none"}) {
    families_->guarantee.Add({{"level", std::string(known)}}).Set(known == level ? 1 : 0);
  }
}

void Metrics::set_paused(bool paused) {
  families_->paused.Add({}).Set(paused ? 1 : 0);
}

void Metrics::set_ready(bool ready) {
  families_->ready.Add({}).Set(ready ? 1 : 0);
}

void Metrics::set_evictable(bool evictable) {
  families_->evictable.Add({}).Set(evictable ? 1 : 0);
}

void Metrics::set_disk_free(const std::string& disk, std::uint64_t bytes) {
  families_->disk_free.Add({{"disk", disk}}).Set(static_cast<double>(bytes));
}

void Metrics::set_host_short(const std::string& what, bool is_short) {
  families_->host_short.Add({{"what", what}}).Set(is_short ? 1 : 0);
}

std::string Metrics::render() const {
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace builder::ports
