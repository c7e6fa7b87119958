#include "adapters/redis/leased/queue_admin.hpp"

#include "adapters/redis/client/connection.hpp"
#include "adapters/redis/client/script_runner.hpp"
#include "adapters/redis/leased/checkpoint_entry.hpp"
#include "adapters/redis/leased/job_queue.hpp"
#include "adapters/redis/leased/queue_look.hpp"
#include "adapters/redis/leased/scripts.hpp"
#include "adapters/redis/leased/worker_entry.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace builder::adapters::redis {

namespace {

using Command = std::vector<std::string>;
using std::chrono::milliseconds;

constexpr milliseconds k_look_patience{5'000};
/// Elements that are read at once: a few KB each, 1 MiB at most.
constexpr std::size_t k_page = 100;
/// Where only ids are looked for.
constexpr std::size_t k_search_page = 500;
constexpr std::size_t k_told_in_turn = 1'000;
constexpr milliseconds k_end_memory{std::chrono::hours(180 * 24)};  // KEEP_ENDED in common.lua.

std::optional<ports::QueueTime> began(const Reply& score, milliseconds memory) {
  if (score.text.empty()) {
    return std::nullopt;
  }
  const auto end = static_cast<std::int64_t>(std::strtod(score.text.c_str(), nullptr));
  return ports::QueueTime(milliseconds(end) - memory);
}

class RedisQueueAdmin final : public ports::QueueAdmin {
 public:
  explicit RedisQueueAdmin(RedisConfig config) : config_(std::move(config)) {}

  Result<ports::QueueLook> look(std::size_t most, const std::stop_token& stop) override {
    const std::size_t page = std::min(most, k_page);
    const auto answers = transaction({{"TIME"},
                                      {"LLEN", config_.queue},
                                      range(0, page),
                                      {"HGETALL", key("wait")},
                                      {"HGETALL", key("own")},
                                      {"HGETALL", key("att")},
                                      {"HGETALL", key("newer")},
                                      {"HLEN", key("out")},
                                      {"HSCAN", key("out"), "0", "COUNT", std::to_string(k_page)},
                                      {"LLEN", key("dead")},
                                      {"ZRANGE", key("workers"), "0", "-1", "WITHSCORES"},
                                      {"HGETALL", key("about")},
                                      {"HGETALL", key("pause")},
                                      {"HGETALL", key("whose")}},
                                     stop);
    if (!answers) {
      if (answers.error().kind == ErrorKind::denied) {
        return look_at_queue(most, answers.error().message, stop);
      }
      return std::unexpected(answers.error());
    }
    const std::vector<Reply>& found = *answers;
    if (found[1].type != Reply::Type::integer) {
      // What one command of a transaction is refused with stands among the answers.
      return failure(ErrorKind::conflict, config_.queue + " is no list (WRONGTYPE)");
    }
    Books books{.now = time_of(found[0]),
                .own = pairs_of(found[4]),
                .attempts = pairs_of(found[5]),
                .newer = pairs_of(found[6]),
                .workers = pairs_of(found[10]),
                .about = pairs_of(found[11]),
                .pauses = pairs_of(found[12]),
                .whose = pairs_of(found[13])};
    ports::QueueLook look{.now = books.now,
                          .waiting = count_of(found[1]),
                          .set_aside = set_aside_of(pairs_of(found[3]), books),
                          .running = running_of(books),
                          .undelivered = count_of(found[7]),
                          .dead = count_of(found[9])};
    if (found[8].list.size() == 2) {
      for (const auto& [deployment, value] : pairs_of(found[8].list[1])) {
        look.ends.push_back(read_end(deployment, value, books.now));
      }
    }
    std::ranges::sort(look.ends, std::ranges::greater(), &ports::UndeliveredEnd::age);
    look.workers = workers_of(books, look.ends);
    look.pauses = pauses_of(books);
    add_elements(look, found[2]);
    if (config_.order == domain::QueueOrder::fair && most > 0) {
      // Whose turn comes among the first may stand behind them.
      BUILDER_TRY(add_pages(look, most + domain::k_order_width, stop));
      BUILDER_TRY_ASSIGN(books.turns, turns_of(owners_of(look.first), stop));
      put_in_turn(look.first, look.running, books);
      look.first.resize(std::min(look.first.size(), most));
    } else {
      BUILDER_TRY(add_pages(look, most, stop));
    }
    for (ports::WaitingJob& job : look.first) {
      job.attempts = std::atoi(value_of(books.attempts, job.deployment).c_str());
    }
    BUILDER_TRY(mark_cancelled(look.running, stop));
    return look;
  }

  Result<ports::DeploymentLook> find(const domain::DeploymentId& deployment,
                                     const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(ports::DeploymentLook look, find_anywhere(deployment, stop));
    // Far behind, the queue's order says as much as turns do.
    if (config_.order == domain::QueueOrder::fair && look.waiting && look.waiting->position > 0 &&
        look.waiting->position <= k_told_in_turn) {
      const auto around = this->look(look.waiting->position + domain::k_order_width, stop);
      const auto same = [&](const ports::WaitingJob& job) {
        return job.deployment == look.waiting->deployment;
      };
      if (around) {
        const auto found = std::ranges::find_if(around->first, same);
        look.waiting->position =
            found == around->first.end() ? look.waiting->position : found->position;
      }
    }
    return look;
  }

  Result<std::vector<ports::DeadLetter>> dead(const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(const Reply reply, call({"LRANGE", key("dead"), "0", "-1"}, stop));
    return letters_of(reply);
  }

  Result<std::size_t> submit(const std::string& element, const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(const Reply reply, call({"RPUSH", config_.queue, element}, stop));
    return count_of(reply);
  }

  Result<ports::CancelReport> cancel(const domain::DeploymentId& deployment,
                                     const std::stop_token& stop) override {
    ports::CancelReport report;
    // Workers without leases keep their own books (guarantee C): they are told, and nothing is
    // written that they would not read.
    const auto workers = call({"ZRANGE", key("workers"), "0", "0"}, stop);
    if (!workers && !is_no_command(workers.error())) {
      return std::unexpected(workers.error());
    }
    if (!workers || workers->list.empty()) {
      BUILDER_TRY_ASSIGN(report.listeners, publish(deployment, stop));
      if (!workers || report.listeners > 0) {
        return report;
      }
    }
    const Script script(scripts::k_cancel, config_.queue);
    const auto recorded =
        script.run(*connection_, {deployment.str(), std::to_string(k_cancel_memory.count())}, stop);
    if (recorded && !recorded->list.empty()) {
      const std::string& answer = recorded->list[0].text;
      report.answer = answer == "OWNED"       ? domain::CancelAnswer::owned
                      : answer == "REMOVED"   ? domain::CancelAnswer::removed
                      : answer == "REPORTING" ? domain::CancelAnswer::reporting
                      : answer == "LATE"      ? domain::CancelAnswer::late
                                              : domain::CancelAnswer::noted;
      if (recorded->list.size() == 2) {
        report.status = recorded->list[1].text;
      }
    } else if (!recorded && !is_no_command(recorded.error())) {
      return std::unexpected(recorded.error());
    }
    // Those that build it stop at once, not only with their next beat.
    BUILDER_TRY_ASSIGN(report.listeners, publish(deployment, stop));
    return report;
  }

  Result<std::size_t> drop(const std::vector<ports::DeadLetter>& letters,
                           const std::stop_token& stop) override {
    // By what they are, not by where: workers put new ones in front at any time.
    std::size_t dropped = 0;
    for (const ports::DeadLetter& letter : letters) {
      BUILDER_TRY_ASSIGN(const Reply reply, call({"LREM", key("dead"), "1", letter.entry}, stop));
      dropped += count_of(reply);
    }
    return dropped;
  }

  Result<> pause(const std::string& whose, ports::Pause pause,
                 const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(const Reply time, call({"TIME"}, stop));
    pause.since = time_of(time);
    // One plain write: such a one outlives a restart of a Redis whose default user is off.
    BUILDER_TRY(call({"HSET", key("pause"), whose, write_pause(pause)}, stop));
    return {};
  }

  Result<bool> resume(const std::string& whose, const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(const Reply reply, call({"HDEL", key("pause"), whose}, stop));
    return reply.integer > 0;
  }

 private:
  [[nodiscard]] std::string key(std::string_view name) const {
    return own_key(config_.queue, name);
  }

  [[nodiscard]] Command range(std::size_t from, std::size_t count) const {
    // A count of none has no range that means it.
    return count == 0 ? Command{"LRANGE", config_.queue, "1", "0"}
                      : Command{"LRANGE", config_.queue, std::to_string(from),
                                std::to_string(from + count - 1)};
  }

  static std::size_t count_of(const Reply& reply) {
    return static_cast<std::size_t>(std::max<std::int64_t>(reply.integer, 0));
  }

  static std::vector<ports::DeadLetter> letters_of(const Reply& reply) {
    std::vector<ports::DeadLetter> letters;
    for (const Reply& entry : reply.list) {
      letters.push_back(read_letter(entry.text));
    }
    return letters;
  }

  static void add_elements(ports::QueueLook& look, const Reply& elements) {
    for (const Reply& element : elements.list) {
      look.first.push_back(read_element(element.text, look.first.size() + 1));
    }
  }

  /// The platform's message; how many heard it.
  Result<std::int64_t> publish(const domain::DeploymentId& deployment,
                               const std::stop_token& stop) {
    const std::string message = nlohmann::json{{"deploymentId", deployment.str()}}.dump();
    BUILDER_TRY_ASSIGN(const Reply heard, call({"PUBLISH", config_.cancel_channel, message}, stop));
    return heard.integer;
  }

  Result<> connect(const std::stop_token& stop) {
    if (!connection_ || !connection_->usable()) {
      BUILDER_TRY_ASSIGN(connection_, Connection::open(config_, "deployra-builder-admin", stop));
    }
    return {};
  }

  Result<Reply> call(const Command& command, const std::stop_token& stop) {
    BUILDER_TRY(connect(stop));
    return connection_->call(command, stop, k_look_patience);
  }

  /// All commands at one moment, in one journey; the answers in their order. A command that is
  /// refused refuses all.
  Result<std::vector<Reply>> transaction(const std::vector<Command>& commands,
                                         const std::stop_token& stop) {
    BUILDER_TRY(connect(stop));
    BUILDER_TRY(connection_->send({"MULTI"}, stop));
    for (const Command& command : commands) {
      BUILDER_TRY(connection_->send(command, stop));
    }
    BUILDER_TRY(connection_->send({"EXEC"}, stop));
    const SteadyTime deadline = std::chrono::steady_clock::now() + k_look_patience;
    std::optional<Error> refused;
    Reply done;
    for (std::size_t i = 0; i < commands.size() + 2; ++i) {
      auto answer = connection_->receive(stop, deadline);
      if (!answer && (answer.error().kind == ErrorKind::timed_out ||
                      answer.error().kind == ErrorKind::cancelled || !connection_->usable())) {
        connection_.reset();  // Nobody may take the answers that still come for others.
        return std::unexpected(std::move(answer).error());
      }
      if (!answer && !refused) {
        refused = std::move(answer).error();
      } else if (answer) {
        done = *std::move(answer);
      }
    }
    if (refused) {
      return std::unexpected(*std::move(refused));
    }
    if (done.list.size() != commands.size()) {
      return failure(ErrorKind::internal, "redis: a strange answer of EXEC");
    }
    return std::move(done.list);
  }

  /// What waits behind the first page. What is taken meanwhile moves the rest forward, so each page
  /// begins at the place that the last one ended at, seen from the tail: nothing is left out.
  Result<> add_pages(ports::QueueLook& look, std::size_t most, const std::stop_token& stop) {
    while (look.first.size() < std::min(most, look.waiting)) {
      const std::size_t behind = look.waiting - look.first.size();
      const std::size_t count = std::min({k_page, most - look.first.size(), behind});
      const auto from = -static_cast<std::int64_t>(behind);
      const auto to = from + static_cast<std::int64_t>(count) - 1;
      BUILDER_TRY_ASSIGN(
          const Reply page,
          call({"LRANGE", config_.queue, std::to_string(from), std::to_string(to)}, stop));
      if (page.list.empty()) {
        return {};
      }
      add_elements(look, page);
    }
    return {};
  }

  /// Of a Redis that shows us nothing else: at guarantee C that is all there is.
  Result<ports::QueueLook> look_at_queue(std::size_t most, const std::string& refusal,
                                         const std::stop_token& stop) {
    BUILDER_TRY_ASSIGN(const Reply length, call({"LLEN", config_.queue}, stop));
    ports::QueueLook look{.waiting = count_of(length), .refused = refusal};
    BUILDER_TRY(add_pages(look, most, stop));
    return look;
  }

  Result<Pairs> turns_of(const std::vector<std::string>& owners, const std::stop_token& stop) {
    std::vector<Command> asked;
    for (const std::string& owner : owners) {
      asked.push_back({"ZSCORE", key("turn"), owner});
    }
    BUILDER_TRY_ASSIGN(const std::vector<Reply> scores, transaction(asked, stop));
    Pairs turns;
    for (std::size_t i = 0; i < owners.size(); ++i) {
      if (!scores[i].text.empty()) {
        turns.emplace_back(owners[i], scores[i].text);
      }
    }
    return turns;
  }

  Result<> mark_cancelled(std::vector<ports::BuiltJob>& jobs, const std::stop_token& stop) {
    if (jobs.empty()) {
      return {};
    }
    std::vector<Command> asked;
    for (const ports::BuiltJob& job : jobs) {
      asked.push_back({"ZSCORE", key("tomb"), job.deployment});
    }
    BUILDER_TRY_ASSIGN(const std::vector<Reply> scores, transaction(asked, stop));
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      jobs[i].cancelled = !scores[i].text.empty();
    }
    return {};
  }

  /// The place of what waits is that in the queue.
  Result<ports::DeploymentLook> find_anywhere(const domain::DeploymentId& deployment,
                                              const std::stop_token& stop) {
    BUILDER_TRY_ASSIGN(ports::DeploymentLook look, find_beside(deployment, stop));
    if (look.waiting || look.running || look.undelivered || look.ended) {
      return look;
    }
    BUILDER_TRY_ASSIGN(auto waiting, search_queue(deployment, stop));
    if (!waiting) {
      // It may have been taken while the queue was gone through.
      return find_beside(deployment, stop);
    }
    waiting->attempts = look.attempts;
    look.waiting = std::move(waiting);
    return look;
  }

  /// Everything but what stands behind the first page of the queue.
  Result<ports::DeploymentLook> find_beside(const domain::DeploymentId& deployment,
                                            const std::stop_token& stop) {
    const std::string& id = deployment.str();
    BUILDER_TRY_ASSIGN(const std::vector<Reply> found,
                       transaction({{"TIME"},
                                    {"LLEN", config_.queue},
                                    range(0, k_page),
                                    {"HGETALL", key("wait")},
                                    {"HGET", key("own"), id},
                                    {"HGET", key("att"), id},
                                    {"HGET", key("newer"), id},
                                    {"HGET", key("stage"), id},
                                    {"ZSCORE", key("tomb"), id},
                                    {"HGET", key("fin"), id},
                                    {"ZSCORE", key("seen"), id},
                                    {"HGET", key("out"), id},
                                    {"LRANGE", key("dead"), "0", "-1"},
                                    {"HGETALL", key("about")},
                                    {"HGETALL", key("own")}},
                                   stop));
    Books books{.now = time_of(found[0]), .own = pairs_of(found[14]), .about = pairs_of(found[13])};
    ports::DeploymentLook look{.now = books.now,
                               .waiting_in_all = count_of(found[1]),
                               .attempts = std::atoi(found[5].text.c_str()),
                               .checkpoint = read_checkpoint(found[7].text),
                               .cancelled = began(found[8], k_cancel_memory),
                               .superseded_by = found[6].text,
                               .status = found[9].text,
                               .ended = began(found[10], k_end_memory)};
    if (!found[11].text.empty()) {
      look.undelivered = read_end(id, found[11].text, books.now);
    }
    for (ports::DeadLetter& letter : letters_of(found[12])) {
      if (letter.deployment == id) {
        look.dead.push_back(std::move(letter));
      }
    }
    for (ports::WaitingJob& job : set_aside_of(pairs_of(found[3]), books)) {
      if (job.deployment == id) {
        look.waiting = std::move(job);
      }
    }
    for (std::size_t i = 0; i < found[2].list.size() && !look.waiting; ++i) {
      look.waiting = named(found[2].list[i].text, i + 1, id);
    }
    if (look.waiting) {
      look.waiting->attempts = look.attempts;
    }
    if (!found[4].text.empty()) {
      books.own = {{id, found[4].text}};
      books.attempts = {{id, found[5].text}};
      books.newer = {{id, found[6].text}};
      look.running = running_of(books).front();
      look.running->cancelled = look.cancelled.has_value();
    }
    return look;
  }

  static std::optional<ports::WaitingJob> named(const std::string& element, std::size_t position,
                                                const std::string& id) {
    if (!element.contains(id)) {
      return std::nullopt;  // A cheap look first.
    }
    ports::WaitingJob job = read_element(element, position);
    return job.deployment == id ? std::optional(std::move(job)) : std::nullopt;
  }

  /// From the tail to the head, by places counted from the tail: what is taken at the head
  /// meanwhile, or given back there, moves none of them, so that no element is passed by.
  Result<std::optional<ports::WaitingJob>> search_queue(const domain::DeploymentId& deployment,
                                                        const std::stop_token& stop) {
    for (std::int64_t last = -1;;) {
      const std::int64_t first = last - static_cast<std::int64_t>(k_search_page) + 1;
      BUILDER_TRY_ASSIGN(
          const std::vector<Reply> found,
          transaction({{"LLEN", config_.queue},
                       {"LRANGE", config_.queue, std::to_string(first), std::to_string(last)}},
                      stop));
      const auto& elements = found[1].list;
      for (std::size_t i = 0; i < elements.size(); ++i) {
        const std::int64_t from_tail = last + 1 - static_cast<std::int64_t>(elements.size() - i);
        const auto position =
            static_cast<std::size_t>(std::max<std::int64_t>(1, found[0].integer + from_tail + 1));
        if (auto job = named(elements[i].text, position, deployment.str())) {
          return job;
        }
      }
      if (elements.size() < k_search_page) {
        return std::nullopt;
      }
      last = first - 1;
    }
  }

  const RedisConfig config_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace

std::unique_ptr<ports::QueueAdmin> make_queue_admin(RedisConfig config) {
  return std::make_unique<RedisQueueAdmin>(std::move(config));
}

}  // namespace builder::adapters::redis
