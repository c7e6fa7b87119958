#include "adapters/history/file_writer.hpp"
#include "adapters/history/history.hpp"
#include "adapters/history/inbox.hpp"
#include "base/log_throttle.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace builder::adapters::history {

namespace {

using Clock = std::chrono::steady_clock;

/// After a failure, as long as something waits to be written.
constexpr std::chrono::seconds k_retry{1};
/// Between two looks for what is too old or too much.
constexpr std::chrono::seconds k_prune{10};
/// A run's log takes this part of the history at most, for its head and as much for its tail.
constexpr std::uint64_t k_share = 32;

class Store final : public ports::BuildHistory {
 public:
  Store(HistorySettings settings, ports::Metrics& metrics, Log log)
      : head_(std::min(k_log_head, settings.keep.bytes / k_share)),
        metrics_(metrics),
        log_(std::move(log)),
        file_(std::move(settings),
              [this](const std::string& what) { log_.warning("the history of builds {}", what); }),
        writer_([this](const std::stop_token& stop) { run(stop); }) {}

  std::unique_ptr<ports::RunRecord> begin(ports::RunStart start) override {
    return inbox_.begin(std::move(start));
  }

 private:
  void run(const std::stop_token& stop) {
    // The file is made, or found to be of no use, before there is anything to write.
    bool goes_on = safely([&] { return write_and_prune(false); });
    for (bool last = false; goes_on && !last;) {
      last = stop.stop_requested();
      goes_on = safely([&] {
        receive(inbox_.take(waits_ ? k_retry : k_prune, stop));
        return write_and_prune(last);
      });
    }
  }

  bool safely(const std::function<bool()>& work) {
    try {
      return work();
    } catch (const std::exception& error) {
      return report({.kind = ErrorKind::internal, .message = error.what()});
    }
  }

  void receive(std::vector<Item> items) {
    for (Item& item : items) {
      if (auto* began = std::get_if<Began>(&item.what)) {
        runs_.try_emplace(item.run, std::move(*began));
      }
      const std::uint64_t number = item.run;
      runs_.at(number).take(std::move(item), head_);
    }
    if (const std::uint64_t lost = inbox_.take_lost(); lost > 0) {
      metrics_.history_rows_lost(lost);
    }
  }

  /// False: nothing will ever be written.
  bool write_and_prune(bool last) {
    auto written = file_.write(runs_);
    waits_ = !written;
    if (!written) {
      return report(std::move(written).error());
    }
    for (auto run = runs_.begin(); run != runs_.end();) {
      inbox_.release(run->first, std::exchange(run->second.waiting, 0));
      run = run->second.is_over() ? runs_.erase(run) : std::next(run);
    }
    if (failed_) {
      log_.info("the history of builds is written again");
      failed_ = false;
      throttle_.over();
    }
    if (!last && Clock::now() >= next_prune_) {
      auto more = file_.prune();
      if (!more) {
        return report(std::move(more).error());
      }
      next_prune_ = Clock::now() + (*more ? std::chrono::seconds(0) : k_prune);
      // There is more to do at once.
      waits_ = *more;
    }
    return true;
  }

  bool report(const Error& error) {
    if (error.kind == ErrorKind::conflict) {
      log_.error("HISTORY_DIR: no history of builds is kept: {}", error.message);
      inbox_.close();
      return false;
    }
    waits_ = true;
    failed_ = true;
    if (throttle_.is_news(error.message)) {
      log_.warning("HISTORY_DIR: the history of builds is not written, builds go on: {}",
                   error.message);
    }
    return true;
  }

  const std::uint64_t head_;
  ports::Metrics& metrics_;
  const Log log_;
  Inbox inbox_;
  // The writer's own.
  FileWriter file_;
  Runs runs_;
  LogThrottle throttle_;
  bool waits_ = false;   ///< Something is to be done soon.
  bool failed_ = false;  ///< The last time.
  Clock::time_point next_prune_{};
  std::jthread writer_;
};

}  // namespace

std::unique_ptr<ports::BuildHistory> make_history(HistorySettings settings, ports::Metrics& metrics,
                                                  Log log) {
  return std::make_unique<Store>(std::move(settings), metrics, std::move(log));
}

}  // namespace builder::adapters::history
