#pragma once

#include "app/doctor/finding.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/secret_store.hpp"
#include "base/sync.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::app {

/// What to do about something, and where.
struct Advice {
  std::string setting = {};
  std::string cure = {};
};

/// Collects what one check finds, as it finds it: a check that is not over in time has told the
/// rest. Texts are made printable and lose their secrets here. Thread-safe.
class Report {
 public:
  /// `secrets` outlives it.
  Report(std::string group, const SecretStore& secrets)
      : group_(std::move(group)), secrets_(secrets) {}

  void ok(std::string_view what, std::string_view text) { add({}, what, State::ok, text, {}); }

  void warning(std::string_view what, std::string_view text, const Advice& advice) {
    add({}, what, State::warning, text, advice);
  }

  void failure(std::string_view what, std::string_view text, const Advice& advice) {
    add({}, what, State::failure, text, advice);
  }

  /// In the words of the part that failed, with the setting it names. An error that says no more
  /// than that time was up says so.
  void failure(std::string_view what, const Error& error, Advice advice);

  void not_tried(std::string_view what, std::string_view why) {
    add({}, what, State::not_tried, why, {});
  }

  /// In another group than its own.
  void add(std::string_view group, std::string_view what, State state, std::string_view text,
           const Advice& advice);

  [[nodiscard]] std::vector<Finding> findings() const { return *findings_.lock(); }

 private:
  const std::string group_;
  const SecretStore& secrets_;
  mutable Sync<std::vector<Finding>> findings_;
};

/// Hears what parts say to the log while they are looked at.
class HeardLog final : public LogSink {
 public:
  void write(LogLevel level, std::string_view line) override;

  [[nodiscard]] bool enabled(LogLevel level) const override { return level >= LogLevel::warning; }

  /// Of the levels warning and error, in order.
  [[nodiscard]] std::vector<std::string> warnings() const { return *lines_.lock(); }

 private:
  mutable Sync<std::vector<std::string>> lines_;
};

}  // namespace builder::app
