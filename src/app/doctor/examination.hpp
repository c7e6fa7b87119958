#pragma once

#include "app/config/config.hpp"
#include "app/doctor/finding.hpp"
#include "app/doctor/report.hpp"
#include "base/secret_store.hpp"
#include "base/stop.hpp"

#include <chrono>
#include <initializer_list>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace builder::app {

struct ExaminationSettings {
  /// A tiny blob is uploaded to the registry, into a repository that is made for it.
  bool push_test = false;
  /// So long every check may take; what does not stop then is left behind after `grace`.
  std::chrono::milliseconds patience{4'000};
  std::chrono::milliseconds grace{400};
};

/// What a check is given.
struct Circumstances {
  const Config& config;
  SecretStore& secrets;
  ExaminationSettings settings;
  std::stop_token stop;
  SteadyTime deadline;
};

/// Looks at everything that a worker with this configuration needs, one thread for each peer. Safe
/// beside running workers: it opens no WORK_DIR, takes no job and writes nothing, but for what the
/// worker's own probe of its rights at Redis leaves nothing of.
class Examination {
 public:
  /// Begins. `loaded` outlives it. What is wrong with its settings is found, too; a check whose
  /// settings are wrong is not tried.
  Examination(const LoadedConfig& loaded, ExaminationSettings settings);
  Examination(const Examination&) = delete;
  Examination& operator=(const Examination&) = delete;
  /// Waits for every check.
  ~Examination();

  /// Waits for the checks, as long as they may take, and tells what they found, by group.
  std::vector<Finding> findings();

  /// Whether every check has come to its end. One may hang in the system's lookup of a name, which
  /// nothing can interrupt.
  [[nodiscard]] bool is_over() const;

 private:
  struct Running;
  using Check = void (*)(const Circumstances&, Report&);

  void examine_settings();
  void begin(std::string group, std::initializer_list<Concern> concerns, Check check);

  const LoadedConfig& loaded_;
  const ExaminationSettings settings_;
  const SteadyTime started_ = std::chrono::steady_clock::now();
  SecretStore secrets_;
  Report own_;
  std::vector<std::unique_ptr<Running>> checks_;
};

}  // namespace builder::app
