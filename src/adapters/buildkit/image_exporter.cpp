#include "adapters/buildkit/image_builder.hpp"
#include "base/fd.hpp"

#include <fcntl.h>

#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

using ports::Archive;
using ports::ExportedImage;
using ports::JobContext;

constexpr const char* k_digest = "containerimage.digest";

std::string name_of(const ports::ImageSpec& image) {
  return image.repository.uri + ":" + image.tag;
}

std::string exporter_of(Archive archive) {
  switch (archive) {
    case Archive::oci:
      return "oci";
    case Archive::docker:
      return "docker";
    case Archive::files:
      return "tar";
  }
  return {};
}

ExportedImage exported(const Solved& solved) {
  const auto digest = solved.exporter_response.find(k_digest);
  return {.digest = digest == solved.exporter_response.end() ? std::string() : digest->second,
          .context_bytes_sent = solved.context_bytes_sent};
}

class BuildkitExporter final : public ports::ImageExporter {
 public:
  explicit BuildkitExporter(ExportPeers peers) : peers_(std::move(peers)) {}

  Result<> can_load(const JobContext& job) override {
    if (peers_.docker == nullptr) {
      return failure(ErrorKind::invalid_input,
                     "no Docker Engine is there to take the image: push it (--push REF), or write "
                     "it to a file (--output type=oci,dest=image.tar)");
    }
    const auto version = peers_.docker->version(job.stop);
    return version ? Result<>() : std::unexpected(version.error());
  }

  Result<> can_write(const JobContext& job, Archive archive) override {
    if (archive != Archive::oci || !peers_.docker_builds) {
      return {};
    }
    BUILDER_TRY_ASSIGN(const bool has_all, has_all_exporters(job));
    return has_all ? Result<>()
                   : failure(ErrorKind::invalid_input,
                             "this Docker Engine makes no OCI archives (its image store is the old "
                             "one): use type=docker, or a BuildKit of its own (BUILDKIT_HOST)");
  }

  Result<ExportedImage> load(const JobContext& job, const ports::ImageSpec& image,
                             domain::EventSink& events) override {
    if (peers_.docker_builds) {
      return build_in_docker(job, image, events);
    }
    const Fd file(::open(peers_.folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!file) {
      return errno_failure("make a temporary file");
    }
    ports::FileSink sink(file.get(), "a temporary file");
    BUILDER_TRY_ASSIGN(ExportedImage made,
                       solve(job, spec_for(image, exporter_of(Archive::docker), &sink), events));
    events.info("Loading the image into the Docker Engine");
    BUILDER_TRY(peers_.docker->load(file.get(), sink.size(), job.stop));
    return loaded(job, image, std::move(made));
  }

  Result<ExportedImage> write(const JobContext& job, const ports::ImageSpec& image, Archive archive,
                              ports::ByteSink& sink, domain::EventSink& events) override {
    if (archive == Archive::docker && peers_.docker_builds) {
      BUILDER_TRY_ASSIGN(const bool has_all, has_all_exporters(job));
      if (!has_all) {
        BUILDER_TRY_ASSIGN(ExportedImage made, build_in_docker(job, image, events));
        std::vector<std::string> names{name_of(image)};
        for (const ports::ImageName& name : image.more_names) {
          names.push_back(name.str());
        }
        BUILDER_TRY(peers_.docker->save(names, sink, job.stop));
        return made;
      }
    }
    return solve(job, spec_for(image, exporter_of(archive), &sink), events);
  }

 private:
  /// An Engine with the old image store has those of files alone.
  Result<bool> has_all_exporters(const JobContext& job) {
    BUILDER_TRY_ASSIGN(const EngineInfo engine, peers_.solver.known_engine(job.stop));
    return engine.exports_to_registry;
  }

  Result<ExportedImage> build_in_docker(const JobContext& job, const ports::ImageSpec& image,
                                        domain::EventSink& events) {
    BUILDER_TRY_ASSIGN(ExportedImage made, solve(job, spec_for(image, "moby", nullptr), events));
    BUILDER_TRY(check_machines(job, {peers_.solver, *peers_.docker}, image, made.digest));
    return loaded(job, image, std::move(made));
  }

  Result<ExportedImage> loaded(const JobContext& job, const ports::ImageSpec& image,
                               ExportedImage made) {
    BUILDER_TRY_ASSIGN(docker::ImageDetails details,
                       peers_.docker->inspect(name_of(image), job.stop));
    made.digest = std::move(details.id);
    made.size = details.size;
    return made;
  }

  [[nodiscard]] SolveSpec spec_for(const ports::ImageSpec& image, std::string exporter,
                                   ports::ByteSink* sink) const {
    SolveSpec spec = solve_of(image, peers_.epoch);
    spec.exporter = std::move(exporter);
    spec.result = sink;
    return spec;
  }

  Result<ExportedImage> solve(const JobContext& job, const SolveSpec& spec,
                              domain::EventSink& events) {
    auto solved = peers_.solver.solve(job, spec, events);
    if (!solved) {
      return std::unexpected(std::move(solved).error().error.with_context("building image"));
    }
    return exported(*solved);
  }

  const ExportPeers peers_;
};

}  // namespace

std::string names_of(const ports::ImageSpec& image) {
  std::string names = name_of(image);
  for (const ports::ImageName& name : image.more_names) {
    names += "," + name.str();
  }
  return names;
}

std::unique_ptr<ports::ImageExporter> make_image_exporter(ExportPeers peers) {
  return std::make_unique<BuildkitExporter>(std::move(peers));
}

}  // namespace builder::adapters::buildkit
