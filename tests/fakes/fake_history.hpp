#pragma once

#include "ports/build_history.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace builder::fakes {

/// Keeps runs in memory. Thread-safe; look at `runs` when nothing runs any more.
class FakeHistory final : public ports::BuildHistory {
 public:
  struct Run {
    ports::RunStart start;
    std::vector<std::string> phases;
    std::vector<ports::RunStep> steps;
    std::vector<std::pair<std::string, std::string>> bases;
    std::vector<std::string> rows;  ///< "TYPE text"
    std::optional<ports::RunEnd> end;
  };

  std::unique_ptr<ports::RunRecord> begin(ports::RunStart start) override {
    const std::scoped_lock lock(mutex_);
    runs.push_back(std::make_unique<Run>(Run{.start = std::move(start)}));
    return std::make_unique<Record>(mutex_, *runs.back());
  }

  std::vector<std::unique_ptr<Run>> runs;

 private:
  class Record final : public ports::RunRecord {
   public:
    Record(std::mutex& mutex, Run& run) : mutex_(mutex), run_(run) {}

    void phase(std::string_view name) override {
      const std::scoped_lock lock(mutex_);
      run_.phases.emplace_back(name);
    }

    void step(ports::RunStep step) override {
      const std::scoped_lock lock(mutex_);
      run_.steps.push_back(std::move(step));
    }

    void base(std::string reference, std::string digest) override {
      const std::scoped_lock lock(mutex_);
      run_.bases.emplace_back(std::move(reference), std::move(digest));
    }

    void row(domain::LogType type, std::string_view line) override {
      const std::scoped_lock lock(mutex_);
      run_.rows.push_back(std::string(to_string(type)) + " " + std::string(line));
    }

    void end(ports::RunEnd end) override {
      const std::scoped_lock lock(mutex_);
      run_.end = std::move(end);
    }

   private:
    std::mutex& mutex_;
    Run& run_;
  };

  std::mutex mutex_;
};

}  // namespace builder::fakes
