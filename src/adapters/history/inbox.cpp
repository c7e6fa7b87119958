#include "adapters/history/inbox.hpp"

#include "adapters/history/log_chunk.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <utility>

namespace builder::adapters::history {

namespace {

/// Of an item itself and what holds it.
constexpr std::size_t k_item = 128;
/// Strangers choose names and numbers of steps; a line for the customer is shorter than this.
constexpr std::size_t k_longest_text = 1024;
constexpr std::size_t k_longest_step = 256;
constexpr std::size_t k_longest_variable = 128;
constexpr std::size_t k_most_variables = 200;
constexpr std::size_t k_most_things = 2000;  ///< Phases, steps and bases of one run.

ports::HistoryTime now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

void cut(std::string& text, std::size_t most = k_longest_text) {
  if (text.size() > most) {
    text = std::string(truncate_bytes(text, most)) + "…";
  }
}

template <class... Texts>
std::size_t size_of(const Texts&... texts) {
  return k_item + (texts.size() + ...);
}

}  // namespace

class Inbox::Record final : public ports::RunRecord {
 public:
  /// `run` 0: nothing is kept of it.
  Record(Inbox& inbox, std::uint64_t run) : inbox_(inbox), run_(run) {}

  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  ~Record() override {
    const std::scoped_lock lock(inbox_.mutex_);
    finish(Abandoned(), k_item);
  }

  void phase(std::string_view name) override {
    std::string text(name);
    cut(text, k_longest_step);
    const std::size_t bytes = size_of(text);
    thing(PhaseBegan{std::move(text), std::chrono::steady_clock::now()}, bytes);
  }

  void step(ports::RunStep step) override {
    cut(step.name, k_longest_step);
    const std::size_t bytes = size_of(step.name);
    thing(std::move(step), bytes);
  }

  void base(std::string reference, std::string digest) override {
    cut(reference, k_longest_step);
    cut(digest, k_longest_step);
    const std::size_t bytes = size_of(reference, digest);
    thing(Base{std::move(reference), std::move(digest)}, bytes);
  }

  void row(domain::LogType type, std::string_view line) override {
    // Cut before it is copied.
    constexpr std::string_view k_mark = "…";
    const bool whole = line.size() <= k_longest_row;
    ports::KeptRow row{
        .time = now(),
        .type = type,
        .line = std::string(whole ? line : truncate_bytes(line, k_longest_row - k_mark.size()))};
    row.line += whole ? "" : k_mark;
    const std::size_t bytes = size_of(row.line);
    const std::scoped_lock lock(inbox_.mutex_);
    if (run_ == 0) {
      return;
    }
    row.number = rows_++;
    Item item{.run = run_, .what = std::move(row), .bytes = bytes};
    if (inbox_.has_room(item, 0)) {
      inbox_.put(std::move(item));
    } else {
      ++inbox_.lost_;
    }
  }

  void end(ports::RunEnd end) override {
    for (std::string* text : {&end.outcome, &end.category, &end.reason, &end.line, &end.advice,
                              &end.commit, &end.image, &end.digest}) {
      cut(*text);
    }
    const std::size_t bytes = size_of(end.outcome, end.category, end.reason, end.line, end.advice,
                                      end.commit, end.image, end.digest);
    const std::scoped_lock lock(inbox_.mutex_);
    finish(Ended{std::move(end), now(), std::chrono::steady_clock::now()}, bytes);
  }

 private:
  template <class What>
  void thing(What what, std::size_t bytes) {
    const std::scoped_lock lock(inbox_.mutex_);
    Item item{.run = run_, .what = std::move(what), .bytes = bytes};
    if (run_ != 0 && things_ < k_most_things && inbox_.has_room(item, k_reserve)) {
      ++things_;
      inbox_.put(std::move(item));
    }
  }

  /// With the lock held. There is always room for it: a run has one, and it ends what waits for it.
  template <class What>
  void finish(What what, std::size_t bytes) {
    if (run_ != 0) {
      inbox_.put({.run = run_, .what = std::move(what), .rows = rows_, .bytes = bytes});
      run_ = 0;
    }
  }

  Inbox& inbox_;
  // Guarded by the inbox.
  std::uint64_t run_;
  std::uint64_t rows_ = 0;
  std::size_t things_ = 0;
};

std::unique_ptr<ports::RunRecord> Inbox::begin(ports::RunStart start) {
  for (std::string* text : {&start.repository, &start.branch, &start.dockerfile, &start.engine,
                            &start.version, &start.worker}) {
    cut(*text);
  }
  start.variables.resize(std::min(start.variables.size(), k_most_variables));
  std::size_t bytes = size_of(start.repository, start.branch, start.dockerfile, start.engine,
                              start.version, start.worker);
  for (std::string& name : start.variables) {
    cut(name, k_longest_variable);
    bytes += name.size() + sizeof(std::string);
  }
  const std::scoped_lock lock(mutex_);
  Item item{.run = runs_ + 1, .what = Began{std::move(start), now()}, .bytes = bytes};
  if (!has_room(item, k_reserve)) {
    return std::make_unique<Record>(*this, 0);
  }
  ++runs_;
  put(std::move(item));
  return std::make_unique<Record>(*this, runs_);
}

bool Inbox::has_room(const Item& item, std::size_t reserve) const {
  const auto of_run = of_runs_.find(item.run);
  const std::size_t waits = of_run == of_runs_.end() ? 0 : of_run->second;
  return bytes_ + item.bytes <= k_most_bytes + reserve &&
         waits + item.bytes <= k_most_of_run + reserve / 2;
}

void Inbox::put(Item item) {
  if (closed_) {
    return;
  }
  bytes_ += item.bytes;
  of_runs_[item.run] += item.bytes;
  fresh_ += item.bytes;
  const bool wakes = items_.empty() || (fresh_ >= k_urgent && fresh_ - item.bytes < k_urgent);
  items_.push_back(std::move(item));
  if (wakes) {
    filled_.notify_one();
  }
}

std::vector<Item> Inbox::take(std::chrono::milliseconds idle, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (filled_.wait_for(lock, stop, idle, [this] { return !items_.empty(); })) {
    filled_.wait_for(lock, stop, k_linger, [this] { return fresh_ >= k_urgent; });
  }
  fresh_ = 0;
  return std::exchange(items_, {});
}

void Inbox::release(std::uint64_t run, std::size_t bytes) {
  const std::scoped_lock lock(mutex_);
  const auto of_run = of_runs_.find(run);
  if (of_run == of_runs_.end()) {
    return;  // Nothing of it waits: it was quiet since the last time.
  }
  bytes_ -= bytes;
  of_run->second -= bytes;
  if (of_run->second == 0) {
    of_runs_.erase(of_run);
  }
}

void Inbox::close() {
  const std::scoped_lock lock(mutex_);
  closed_ = true;
  items_.clear();
}

std::uint64_t Inbox::take_lost() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(lost_, 0);
}

}  // namespace builder::adapters::history
