#pragma once

#include "adapters/docker/engine_address.hpp"
#include "adapters/http/client.hpp"
#include "adapters/oci/push_fault.hpp"
#include "adapters/oci/push_progress.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"
#include "ports/byte_sink.hpp"
#include "ports/registry_login.hpp"

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::adapters::docker {

struct EngineVersion {
  std::string server;  ///< As it names itself: "Docker/20.10.24 (linux)".
  std::string version;
  std::string api_version;
};

struct ImageSummary {
  std::string id;
  std::vector<std::string> tags;     ///< `repository:tag`; empty for a dangling image.
  std::vector<std::string> digests;  ///< `repository@sha256:…`.
};

struct ImageDetails {
  std::string id;
  std::string architecture;  ///< As Go calls it, "amd64".
  std::uint64_t size = 0;    ///< Bytes, as the Engine counts them.
};

struct PushedImage {
  std::string digest;
  std::uint64_t bytes_pushed = 0;
};

/// The image part of the Docker Engine's HTTP API. Thread-safe, one call each, no retry; a stop
/// closes the connection, on which the Engine drops what it was doing.
class Engine {
 public:
  using OnProgress = std::function<void(oci::PushedBytes)>;

  virtual ~Engine() = default;
  virtual Result<EngineVersion> version(const std::stop_token& stop) = 0;
  /// Of the runc it starts containers with; empty: it does not say. Starts programs at the Engine.
  virtual Result<std::string> runc_version(const std::stop_token& stop) = 0;
  /// The folder on the Engine's machine that holds all it keeps.
  virtual Result<std::string> data_folder(const std::stop_token& stop) = 0;
  /// Pushes exactly `repository:tag`, without a login anonymously. Silence of two minutes counts as
  /// `registry_away`. `on_progress` is called whenever the Engine says something.
  virtual std::expected<PushedImage, oci::PushFailure> push(
      const std::string& repository, const std::string& tag, const ports::SharedLogin& login,
      const std::stop_token& stop, SteadyTime deadline, const OnProgress& on_progress) = 0;
  /// The images that have a tag or a digest in `repository`.
  virtual Result<std::vector<ImageSummary>> images_of(const std::string& repository,
                                                      const std::stop_token& stop) = 0;
  /// When the image last got a tag at this Engine; nullopt when it does not say.
  virtual Result<std::optional<std::chrono::system_clock::time_point>> last_tagged(
      const std::string& image, const std::stop_token& stop) = 0;
  virtual Result<ImageDetails> inspect(const std::string& image, const std::stop_token& stop) = 0;
  /// Has the Engine get an image from its registry, as a reference that the Engine reads.
  virtual Result<> pull(const std::string& image, const ports::SharedLogin& login,
                        const std::stop_token& stop) = 0;
  /// Takes the images of an archive, `size` bytes that are read from `fd`.
  virtual Result<> load(int fd, std::uint64_t size, const std::stop_token& stop) = 0;
  /// Writes images as an archive that `load` takes; several names of one image are one there.
  virtual Result<> save(const std::vector<std::string>& images, ports::ByteSink& sink,
                        const std::stop_token& stop) = 0;
  /// Removes a tag, or the image when it was the last one. Never by force: `conflict` when the
  /// image is in use.
  virtual Result<> remove(const std::string& image, const std::stop_token& stop) = 0;
};

/// `client` outlives the engine.
std::unique_ptr<Engine> make_engine(EngineAddress address, http::Client& client);

}  // namespace builder::adapters::docker
