#pragma once

#include "ports/image_builder.hpp"
#include "ports/registry.hpp"

#include <functional>
#include <memory>
#include <string>

namespace builder::build {

/// Starts an image build before its source is there. An engine spends tens of milliseconds on a
/// build before it asks for the first file; here they pass while git fetches. The build sees a tree
/// whose first look waits for the real one, so it gets no further than that.
///
/// Owned by the job's thread. Destroying it, or a stop of the job, ends a build that was not asked
/// for.
class EarlyPublish {
 public:
  struct Ports {
    ports::ImageBuilder& image;
    domain::EventSink& events;
  };

  /// `image` without trees; its Dockerfile need not exist. `complete` is called on a thread of the
  /// build's own, which then starts the build: it sets what has to be waited for (the repository).
  EarlyPublish(Ports ports, const ports::JobContext& job, ports::ImageSpec image,
               std::function<Result<>(ports::ImageSpec&)> complete);
  ~EarlyPublish();
  EarlyPublish(const EarlyPublish&) = delete;
  EarlyPublish& operator=(const EarlyPublish&) = delete;

  /// Gives the build its context and the tree that has the Dockerfile, which may be the same, and
  /// waits for its end. Called at most once.
  Result<ports::PublishResult> finish(std::shared_ptr<const ports::SourceTree> context,
                                      std::shared_ptr<const ports::SourceTree> dockerfile_tree,
                                      const ports::SourceCommit& commit);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace builder::build
