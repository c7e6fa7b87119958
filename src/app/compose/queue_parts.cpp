#include "app/compose/queue_parts.hpp"

#include "adapters/redis/cancel_feed.hpp"
#include "adapters/redis/chosen_queue.hpp"
#include "adapters/redis/leased/job_queue.hpp"
#include "adapters/redis/leased/queue_admin.hpp"
#include "adapters/redis/leased/waiting_room.hpp"
#include "app/compose/build_parts.hpp"
#include "app/compose/history_parts.hpp"

#include <unistd.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace builder::app {

namespace {

adapters::redis::QueueSettings queue_settings(const Config& config, WorkDir& work) {
  adapters::redis::QueueSettings settings;
  settings.lease = config.lease_time;
  settings.ended_leases = work.ended_leases();
  settings.old_worker_id = work.old_worker_id();
  settings.remember_lease = [&work](const std::string& lease_id) { work.remember_lease(lease_id); };
  AnnouncedHistory announced = announced_history(config, host_name());
  settings.identity = {
      .host = host_name(),
      .pid = static_cast<int>(::getpid()),
      .version = BUILDER_VERSION,
      .engine = (config.buildkits.empty() ? "docker " : "buildkit ") + engine_names(config),
      .slots = config.max_parallel_builds,
      .history = announced.url,
      .history_proof = announced.url.empty() ? std::string()
                                             : history_proof(config.history_token, announced.url),
      .no_history = std::move(announced.why_none)};
  settings.recovered = [&work] { work.forget_ended(); };
  return settings;
}

std::unique_ptr<ports::JobQueue> make_queue(const Config& config, WorkDir& work, const Log& log) {
  std::vector<std::string> journals = work.ended_journals();
  if (config.allow_unsafe_queue) {
    return adapters::redis::make_chosen_queue(config.redis, queue_settings(config, work),
                                              {.journal = work.journal(),
                                               .lost_journals = std::move(journals),
                                               .recovered = [&work] { work.forget_ended(); }},
                                              log);
  }
  for (const std::string& journal : journals) {
    log.warning("a worker with ALLOW_UNSAFE_QUEUE was lost; what it built has no end: {}", journal);
  }
  return adapters::redis::make_job_queue(config.redis, queue_settings(config, work), log);
}

}  // namespace

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') {
    return "unknown";
  }
  return name.data();
}

QueueParts::QueueParts(const Config& config, WorkDir& work, const Log& log)
    : queue(make_queue(config, work, log)),
      cancels(adapters::redis::make_cancel_feed(config.redis, log)),
      waiting_room(config.waiting_lines ? adapters::redis::make_waiting_room(config.redis)
                                        : nullptr) {
}

std::unique_ptr<ports::QueueAdmin> make_queue_admin(const Config& config) {
  return adapters::redis::make_queue_admin(config.redis);
}

Result<std::size_t> QueueParts::check() {
  BUILDER_TRY_ASSIGN(const std::size_t length, queue->length());
  if (auto heard = cancels->subscribed(); !heard) {
    return std::unexpected(
        std::move(heard).error().with_context("no cancel messages (REDIS_CANCEL_CHANNEL_NAME)"));
  }
  return length;
}

}  // namespace builder::app
