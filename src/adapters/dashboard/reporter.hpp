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
  /// Whether it is the platform that answers at API_URL, and takes the API key. Nothing is changed
  /// there. Errors as of `classify`.
  virtual Result<> probe(const std::stop_token& stop) = 0;
};

/// `client` outlives the reporter.
std::unique_ptr<Reporter> make_reporter(ReporterSettings settings, http::Client& client);

/// The bodies the platform gets; apart for the golden tests.
std::string status_body(const ports::StatusUpdate& update);
std::string log_body(domain::LogType type, std::string_view text);

/// What the answer to a status post says; lenient, since nothing may hang on its form.
ports::StatusAnswer parse_status_answer(std::string_view body);

}  // namespace builder::adapters::dashboard
