#pragma once

#include "adapters/buildkit/image_builder.hpp"

#include <optional>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// What image builders have in common whose engines push while they build and keep no image.
class DaemonImageBuilder : public ports::ImageBuilder {
 public:
  explicit DaemonImageBuilder(PublishPeers peers) : peers_(peers) {}

  Result<std::optional<ports::PublishResult>> publish_built(const ports::JobContext&,
                                                            const ports::Repository&,
                                                            const std::string&, const std::string&,
                                                            domain::EventSink&) override {
    return std::nullopt;
  }

  Result<std::vector<domain::BaseImage>> find_bases(
      const ports::JobContext& job, const ports::Repository& repository,
      const std::vector<std::string>& names) override {
    return peers_.solver.find_bases(job, repository, names);
  }

  void clean_up(const ports::JobContext&, const ports::Repository&, const std::string&) override {}

 protected:
  const PublishPeers peers_;
};

}  // namespace builder::adapters::buildkit
