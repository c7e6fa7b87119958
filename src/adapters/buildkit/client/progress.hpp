#pragma once

#include "adapters/buildkit/diagnosis/findings.hpp"
#include "adapters/buildkit/diagnosis/secret_mounts.hpp"
#include "adapters/oci/push_progress.hpp"
#include "domain/build_event.hpp"
#include "ports/image_builder.hpp"

#include "buildkit_control.pb.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// Turns the daemon's status messages into the build's events. One per solve, used by one thread.
///
/// The daemon repeats a vertex whenever something about it changes; its steps are numbered here in
/// the order in which they start. Sources (vertices without inputs) run twice, once to find their
/// cache key and once for their content, and report completion each time: the StepFinished of a
/// base image, whose second run is the pull, waits for it, for a step that uses it, or for the end.
/// Vertices of one progress group are one step; it ends with the vertex it is about.
class Progress {
 public:
  /// Steps are numbered from `first_step`. `mounts`, which outlives this: whose versions nobody is
  /// to see; null: there are none. `has_proxy`: the daemon adds to the output of a step what it
  /// asked of its proxy, with secrets that addresses may hold. Nobody is to see that, and it is no
  /// last word of the step.
  Progress(domain::EventSink& events, std::uint32_t first_step,
           const SecretMounts* mounts = nullptr, bool has_proxy = false)
      : events_(events), next_step_(first_step), mounts_(mounts), has_proxy_(has_proxy) {}

  /// `is_first_part`: output that belongs to this message comes with the next ones, which hold no
  /// vertices.
  void apply(const moby::buildkit::v1::StatusResponse& message, bool is_first_part = false);
  /// The daemon lost its way in its output before the next message.
  void gap();
  /// The last messages may be missing.
  void broke_off();
  /// No more messages will come: what was held back goes out.
  void finish();

  [[nodiscard]] std::uint32_t next_step() const { return next_step_; }

  /// When the daemon began to push, by our clock.
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> push_began() const {
    return push_began_;
  }

  /// The images that the build took something from. nullopt: it took something from elsewhere as
  /// well, or the daemon did not tell all.
  [[nodiscard]] std::optional<std::vector<domain::BaseImage>> bases() const;

  /// Those of them that were named without a digest, as far as the daemon told.
  [[nodiscard]] std::vector<domain::BaseImage> tagged() const;

  /// Each image that the build took something from or asked about, as far as the daemon told; with
  /// an empty digest where it looked for that.
  [[nodiscard]] const std::set<domain::BaseImage>& taken() const { return taken_; }

  /// Whether there is a step that may download something.
  [[nodiscard]] bool has_runs() const { return !runs_.empty(); }

  /// All of those ran in this solve: none was found in the cache, none was left out.
  [[nodiscard]] bool all_ran() const;

  [[nodiscard]] const std::vector<FailedStep>& failed() const { return failed_; }

  [[nodiscard]] const std::vector<BuildWarning>& warnings() const { return warnings_; }

 private:
  using Time = std::chrono::nanoseconds;

  struct Step {
    std::uint32_t number = 0;
    std::string name;
    std::optional<Time> started;
    std::optional<Time> completed;
    Time spent{0};
    std::uint32_t runs = 0;
    bool cached = true;  ///< The last run; of a group all that ended so far.
    bool held_back = false;
    bool finished = false;
    bool lists_requests = false;  ///< What follows is the daemon's list.
    std::string output;           // Its end.
  };

  /// Of a vertex: its own, or that of its group.
  Step& step_of(const moby::buildkit::v1::Vertex& vertex);
  Step& step_of(const std::string& digest);

  void note_source(const moby::buildkit::v1::Vertex& vertex);
  void note_run(const moby::buildkit::v1::Vertex& vertex);
  void start(Step& step, const moby::buildkit::v1::Vertex& vertex);
  void complete_late();
  void complete(Step& step, const moby::buildkit::v1::Vertex& vertex);
  void emit_finished(Step& step, const std::string& error);
  void release(const std::string& digest, const Step& user);
  void output(const moby::buildkit::v1::VertexLog& log);
  void activity(const moby::buildkit::v1::VertexStatus& status);
  void warning(const moby::buildkit::v1::VertexWarning& warning);
  std::uint32_t number(Step& step, bool cached = false);
  [[nodiscard]] std::string as_written(std::string text) const;
  [[nodiscard]] bool is_of_proxy(Step& step, const moby::buildkit::v1::VertexLog& log) const;

  domain::EventSink& events_;
  std::uint32_t next_step_;
  const SecretMounts* mounts_;
  const bool has_proxy_;
  std::map<std::string, Step> steps_;          // By digest of the vertex, or id of the group.
  std::map<std::string, std::string> groups_;  // Digest of a vertex -> id of its group.
  /// Ends of steps whose output goes on in the next messages.
  std::vector<moby::buildkit::v1::Vertex> late_;
  std::vector<FailedStep> failed_;
  std::vector<BuildWarning> warnings_;
  std::optional<std::chrono::steady_clock::time_point> push_began_;
  /// While the daemon pushes, of which it says when it begins and when it ends.
  std::unique_ptr<oci::PushProgress> push_;
  bool clip_explained_ = false;
  std::map<std::string, std::string> bases_;  // Name -> digest.
  std::set<std::string> asked_for_;           // Names whose digest the daemon looked for.
  std::set<std::string> several_;             // Names that stood for more than one digest.
  std::set<domain::BaseImage> taken_;
  bool bases_are_known_ = true;
  std::map<std::string, bool> runs_;  // Digest of a vertex that may download -> it ran.
  bool runs_are_known_ = true;
  bool was_told_ = false;  ///< Anything at all.
};

}  // namespace builder::adapters::buildkit
