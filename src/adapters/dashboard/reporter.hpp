#pragma once

#include "adapters/http/client.hpp"
#include "base/secret.hpp"
#include "ports/deployment_reporter.hpp"

#include <memory>
#include <string>

namespace builder::adapters::dashboard {

struct ReporterSettings {
  std::string api_url;  ///< Ends in `/api`, no trailing slash needed.
  Secret api_key;
};

/// The platform's webhook API (docs/protocol.md). Thread-safe, keeps its connections.
class Reporter : public ports::DeploymentReporter {
 public:
  /// Whether the API can be reached: any HTTP answer counts, whatever it says.
  virtual Result<> probe(const std::stop_token& stop) = 0;
};

/// `client` outlives the reporter.
std::unique_ptr<Reporter> make_reporter(ReporterSettings settings, http::Client& client);

/// The bodies the platform gets; apart for the golden tests.
std::string status_body(const ports::StatusUpdate& update);
std::string log_body(domain::LogType type, std::string_view text);

/// What the answer to a status post says; lenient, since nothing may hang on its form.
ports::StatusAnswer parse_status_answer(std::string_view body);

/// Success, or the platform's refusal as the port's error kinds.
Result<> classify(const http::Response& response);

}  // namespace builder::adapters::dashboard
