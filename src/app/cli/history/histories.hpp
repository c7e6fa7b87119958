#pragma once

#include "base/result.hpp"
#include "domain/ids.hpp"
#include "ports/build_history.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

/// What all workers of a queue remember, as one history.
namespace builder::app::cli {

/// A history that can be asked.
struct HistorySource {
  std::string name;  ///< For complaints: `ops-1:42 (http://ops-1:9191)`, or its folder.
  std::unique_ptr<ports::HistoryReader> reader;
  bool is_here = false;  ///< On this machine: asking it costs little.
};

/// A history that was not read, or not all of it.
struct MissingHistory {
  std::string whose;
  std::string why;
};

/// A run, and where its log is.
struct FoundRun {
  ports::KeptRunDetails details;
  HistorySource* source = nullptr;
};

/// Asks several histories at once. A source that fails is named in `missing`, and the others count.
/// Histories may be seen twice, as a file and over HTTP: each run is told once. One thread.
class Histories {
 public:
  Histories(std::vector<HistorySource> sources, std::vector<MissingHistory> missing)
      : sources_(std::move(sources)), missing_(std::move(missing)) {}

  /// The newest first, at most `filter.most`.
  std::vector<ports::KeptRun> list(const ports::RunFilter& filter);
  /// The newest first.
  std::vector<FoundRun> find(const domain::DeploymentId& deployment);

  [[nodiscard]] const std::vector<MissingHistory>& missing() const { return missing_; }

  /// Whether at least one has answered the last question.
  [[nodiscard]] bool answered() const { return answered_; }

 private:
  template <class Value>
  std::vector<Value> ask(const std::function<Result<std::vector<Value>>(HistorySource&)>& question);

  std::vector<HistorySource> sources_;
  std::vector<MissingHistory> missing_;
  bool answered_ = false;
};

}  // namespace builder::app::cli
