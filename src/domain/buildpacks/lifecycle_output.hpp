#pragma once

#include "domain/buildpacks/lifecycle_exit.hpp"

#include <string>
#include <string_view>

namespace builder::domain::buildpacks {

/// What one line of a lifecycle means to who shows the build.
enum class LineKind {
  phase_begins,      ///< `name`: ANALYZING, DETECTING, RESTORING, BUILDING, EXPORTING.
  buildpack_begins,  ///< `name`: id@version.
  buildpack_ends,
  detection,  ///< About one buildpack's detection: of interest when detection fails.
  chatter,    ///< For the lifecycle's makers: not shown.
  plain,
};

struct LineMeaning {
  LineKind kind = LineKind::plain;
  std::string name = {};
};

/// Reads a lifecycle's output line by line and keeps the trace. The lifecycle runs at level debug,
/// since only then it tells when a buildpack begins and ends; what that level adds elsewhere is
/// recognised as chatter. While a buildpack has the word, its lines are plain, whatever they say.
class LifecycleReader {
 public:
  /// `line`: without its end. May hold colours and anything else.
  LineMeaning read(std::string_view line);

  [[nodiscard]] const BuildTrace& trace() const { return trace_; }

 private:
  LineMeaning read_detection(std::string_view line);
  void note_error(std::string_view line);

  BuildTrace trace_;
  bool buildpack_speaks_ = false;
  bool listing_ = false;  ///< The buildpacks that take part are being listed.
};

}  // namespace builder::domain::buildpacks
