#include "app/cli/history/histories.hpp"

#include "domain/operator_line.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

namespace builder::app::cli {

namespace {

/// Each waits for its peer most of the time.
constexpr std::size_t k_most_at_once = 32;
constexpr std::size_t k_page = 100;

/// Two runs that agree in this are the same run.
auto key_of(const ports::KeptRun& run) {
  return std::tuple(-run.started.time_since_epoch().count(), run.start.deployment.str(),
                    -run.start.attempt);
}

auto key_of(const FoundRun& found) {
  return key_of(found.details.run);
}

/// The newest first, each once; of two that are the same the one that was asked first stays.
template <class Run>
void merge(std::vector<Run>& runs) {
  std::ranges::stable_sort(runs, {}, [](const Run& run) { return key_of(run); });
  const auto rest = std::ranges::unique(runs, {}, [](const Run& run) { return key_of(run); });
  runs.erase(rest.begin(), rest.end());
}

Result<std::vector<ports::KeptRun>> pages_of(ports::HistoryReader& reader,
                                             ports::RunFilter filter) {
  std::vector<ports::KeptRun> runs;
  const std::size_t most = filter.most;
  while (runs.size() < most) {
    filter.most = std::min(most - runs.size(), k_page);
    BUILDER_TRY_ASSIGN(auto page, reader.list(filter));
    for (ports::KeptRun& run : page) {
      if (filter.before && run.id >= *filter.before) {
        return failure(ErrorKind::internal, "its runs are not in order");
      }
      filter.before = run.id;
      runs.push_back(std::move(run));
    }
    if (page.empty()) {
      break;
    }
  }
  return runs;
}

}  // namespace

template <class Value>
std::vector<Value> Histories::ask(
    const std::function<Result<std::vector<Value>>(HistorySource&)>& question) {
  std::vector<std::optional<Result<std::vector<Value>>>> answers(sources_.size());
  std::atomic<std::size_t> next = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(sources_.size(), k_most_at_once); ++i) {
      threads.emplace_back([&] {
        for (std::size_t mine = next++; mine < sources_.size(); mine = next++) {
          answers[mine] = question(sources_[mine]);
        }
      });
    }
  }
  answered_ = false;
  std::vector<Value> all;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    auto& answer = *answers[i];
    if (!answer) {
      missing_.push_back({sources_[i].name, domain::operator_line(answer.error())});
      continue;
    }
    answered_ = true;
    std::ranges::move(*answer, std::back_inserter(all));
  }
  return all;
}

std::vector<ports::KeptRun> Histories::list(const ports::RunFilter& filter) {
  auto runs =
      ask<ports::KeptRun>([&](HistorySource& source) { return pages_of(*source.reader, filter); });
  merge(runs);
  runs.resize(std::min(runs.size(), filter.most));
  return runs;
}

std::vector<FoundRun> Histories::find(const domain::DeploymentId& deployment) {
  auto found = ask<FoundRun>([&](HistorySource& source) -> Result<std::vector<FoundRun>> {
    BUILDER_TRY_ASSIGN(auto all, source.reader->find(deployment));
    std::vector<FoundRun> runs;
    for (ports::KeptRunDetails& details : all) {
      runs.push_back({.details = std::move(details), .source = &source});
    }
    return runs;
  });
  merge(found);
  return found;
}

}  // namespace builder::app::cli
