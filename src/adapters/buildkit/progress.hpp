#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "buildkit_control.pb.h"
#include "domain/build_event.hpp"

namespace builder::adapters::buildkit {

/// A step that failed, as the engine told it.
struct FailedStep {
  std::string digest;
  std::string name;  ///< "[stage 2/4] RUN npm test"
  std::string error;
};

/// Translates the engine's status messages into events, in their order. A vertex is told several times
/// (first without a start, later completed): every change is passed on once. Not thread-safe.
class Progress {
 public:
  explicit Progress(domain::EventSink& events) : events_(events) {}

  void take(const moby::buildkit::v1::StatusResponse& status);
  [[nodiscard]] const std::optional<FailedStep>& failed() const { return failed_; }

 private:
  struct Step {
    std::uint32_t number = 0;
    std::string name;
    bool started = false;
    bool finished = false;
    double started_at = 0;
  };

  Step& step(const std::string& digest);
  void take(const moby::buildkit::v1::Vertex& vertex);
  void take(const moby::buildkit::v1::VertexLog& log);
  void take(const moby::buildkit::v1::VertexWarning& warning);

  domain::EventSink& events_;
  std::map<std::string, Step> steps_;
  std::optional<FailedStep> failed_;
  bool clip_explained_ = false;
};

}  // namespace builder::adapters::buildkit
