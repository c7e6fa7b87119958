#pragma once

#include "domain/build_event.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace builder::app::cli {

/// A step of the build as it ended, in the order of appearance.
struct StepSummary {
  std::uint32_t step = 0;  ///< As in the events.
  std::string name;        ///< As the engine writes it: "[build 2/4] RUN make".
  std::chrono::milliseconds duration{0};
  bool cached = false;
  std::string error;  ///< Empty: it succeeded.
};

enum class BuildEnd {
  succeeded,
  failed,
  aborted,  ///< Ctrl+C.
};

/// What `build` says at its end.
struct BuildSummary {
  BuildEnd end = BuildEnd::succeeded;
  /// For a person, without a line end. Of a success, what became of the result: "loaded into the
  /// Docker Engine at unix:///var/run/docker.sock". Of a failure, the customer's line.
  std::string result;
  std::vector<std::string> details;  ///< Of a failure: further lines for whoever runs the engine.
  std::vector<std::string> images;   ///< `name:tag` of each name; empty: the result has none.
  /// `sha256:…` of the manifest; where the engine has none (an old image store), of the image's
  /// configuration, which is the image's ID there. Empty: the result is no image.
  std::string digest;
  std::uint64_t size = 0;  ///< Bytes of the image, or of the file that was written; 0: not known.
  std::uint64_t context_bytes = 0;     ///< Sent to the engine.
  std::chrono::milliseconds total{0};  ///< From the start of the verb.
  std::vector<StepSummary> steps;
};

/// What shows a build: it takes the events, from any thread, and the summary once, behind the last
/// event. Text of strangers in both is not yet safe to show.
class BuildView : public domain::EventSink {
 public:
  virtual void finish(const BuildSummary& summary) = 0;
};

}  // namespace builder::app::cli
