#pragma once

#include "domain/provenance.hpp"
#include "ports/attestations.hpp"

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace builder::fakes {

/// Keeps what kinds of statements were attached.
class FakeAttestations final : public ports::Attestations {
 public:
  [[nodiscard]] bool signs() const override { return has_key; }

  Result<bool> has(const ports::JobContext&, const ports::PublishedImage& image,
                   const std::string& kind) override {
    return kind == domain::k_provenance_type ? there
                                             : Result<bool>(described.contains(image.digest));
  }

  Result<> attach(const ports::JobContext& job, const ports::PublishedImage& image,
                  const std::vector<ports::Statement>& statements) override {
    for (const ports::Statement& statement : statements) {
      attached.push_back(statement.predicate_type);
      texts.push_back(image.digest + " " + statement.text);
    }
    return hook ? hook(job) : Result<>();
  }

  bool has_key = true;
  Result<bool> there = false;
  std::set<std::string> described;  ///< Digests of images that have an SBOM.
  std::vector<std::string> attached;
  std::vector<std::string> texts;  ///< The same with the image's digest in front.
  std::function<Result<>(const ports::JobContext&)> hook;
};

}  // namespace builder::fakes
