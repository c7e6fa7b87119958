#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"
#include "domain/base_image.hpp"
#include "domain/build_event.hpp"
#include "domain/downloads.hpp"
#include "domain/ids.hpp"
#include "domain/variable_delivery.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"
#include "ports/source_tree.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace builder::ports {

/// Digests (`sha256:…`) of images, by their names as engines write them, with or without a tag:
/// `docker.io/library/node:22`. What a registry has under such a name now does not count.
using ImagePins = std::map<std::string, std::string>;

/// What is asked of one build beside its Dockerfile, as `docker build` has options for it.
struct BuildOptions {
  std::string target;                            ///< A stage of the Dockerfile; empty: the last.
  std::string platform;                          ///< Empty: linux/amd64. Several with commas.
  std::map<std::string, std::string> arguments;  ///< For ARG.
  bool no_cache = false;
  ImagePins pins = {};  ///< Of images that the Dockerfile names, and its frontend's.
  /// Address of the repository, without credentials, for the labels that tell where the image
  /// comes from; empty: it gets none.
  std::string labelled_source = {};

  bool operator==(const BuildOptions&) const = default;
};

/// What an image was made from.
struct SourceCommit {
  std::string id;  ///< Empty: a folder that is no commit.
  std::chrono::sys_seconds time{};
};

/// A name of an image.
struct ImageName {
  Repository repository;
  std::string tag;

  [[nodiscard]] std::string str() const { return repository.uri + ":" + tag; }
};

/// One image to build from a Dockerfile, and where it goes.
struct ImageSpec {
  domain::ServiceId service_id;  ///< Names the context's incremental copy at the engine.
  std::shared_ptr<const SourceTree> context;  ///< Shared with the session's transfer threads.
  std::string dockerfile;                     ///< Path inside `dockerfile_tree`.
  Repository repository;
  std::string tag;  ///< The deployment's own.
  /// Waits for the source as a look at the context does.
  std::function<Result<SourceCommit>()> commit = [] { return Result<SourceCommit>(); };
  Secret cache_namespace = {};  ///< Stands before the name of every cache mount.
  /// Called when the image is built and kept by the engine, before it is pushed, with the engine's
  /// name for its content; not by engines that push while they build.
  std::function<void(const std::string& image_id)> on_built = [](const std::string&) {};
  BuildOptions options = {};
  /// What the service's variables are to the build; `options` go before them.
  domain::DeliveredVariables variables = {};
  /// The login belongs to whoever wrote the Dockerfile: images beside the repository may be sources
  /// of the build. Elsewhere they belong to other services.
  bool may_read_registry = false;
  std::vector<ImageName> more_names = {};  ///< It goes there as well.
  /// Has the Dockerfile where the context is only a folder of the source; null: the context.
  std::shared_ptr<const SourceTree> dockerfile_tree = {};

  [[nodiscard]] const SourceTree& of_dockerfile() const {
    return dockerfile_tree == nullptr ? *context : *dockerfile_tree;
  }
};

struct PublishFigures {
  std::uint64_t context_bytes_sent = 0;
  std::uint64_t bytes_pushed = 0;  ///< 0: the engine does not tell.
  std::chrono::steady_clock::duration build{0};
  std::chrono::steady_clock::duration push{0};
};

struct PublishResult {
  PublishedImage image;
  PublishFigures figures;
  /// All that the image was made of beside the context and the options; nullopt: something else as
  /// well (a download), or it is not known.
  std::optional<std::vector<domain::BaseImage>> bases = {};
  /// Images that were named without a digest, with the one that was taken, as far as it is known.
  std::vector<domain::BaseImage> tagged = {};
  std::optional<domain::Downloads> downloads = {};  ///< nullopt: nobody recorded them.
};

/// Builds one image and brings it into the registry. How the bytes get there is the
/// engine's affair: some keep an image and push it, some push while they build.
class ImageBuilder {
 public:
  virtual ~ImageBuilder() = default;
  /// The context may be one whose first look blocks until the source is there. Steps, output and
  /// warnings go to `events` in order. What a registry says may be retried is retried; a repository
  /// that vanished is made again, a refused login renewed, a lost engine waited for. Errors:
  /// `build_failed` with the customer's line (file, line, command, exit code), `denied` (our
  /// configuration at the registry), `unavailable` when engine or registry stay away, `timed_out`,
  /// `cancelled` (the build's processes are gone or being killed by the engine when this returns).
  virtual Result<PublishResult> publish(const JobContext& job, const ImageSpec& image,
                                        domain::EventSink& events) = 0;
  /// Brings into the registry what an earlier attempt built under this tag; nullopt when this
  /// engine does not have it (any more).
  virtual Result<std::optional<PublishResult>> publish_built(const JobContext& job,
                                                             const Repository& repository,
                                                             const std::string& tag,
                                                             const std::string& image_id,
                                                             domain::EventSink& events) = 0;
  /// What names of images (`domain::BaseImage::name`) stand for now, as a build of this
  /// repository's would find them. Asked once, without retries; what cannot be found is left out.
  virtual Result<std::vector<domain::BaseImage>> find_bases(
      const JobContext& job, const Repository& repository,
      const std::vector<std::string>& names) = 0;
  /// Removes what this and earlier deployments left at the engine for the repository. Best effort,
  /// off the critical path.
  virtual void clean_up(const JobContext& job, const Repository& repository,
                        const std::string& tag) = 0;
};

}  // namespace builder::ports
