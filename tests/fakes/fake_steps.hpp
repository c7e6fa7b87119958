#pragma once

#include "base/log.hpp"
#include "fakes/memory_tree.hpp"
#include "ports/buildpacks_builder.hpp"
#include "ports/image_builder.hpp"
#include "ports/registry.hpp"
#include "ports/source_fetcher.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace builder::fakes {

/// The names of the steps that ran, in order, over all fakes that share it. Thread-safe.
class StepRecord {
 public:
  void add(std::string step) {
    const std::scoped_lock lock(mutex_);
    steps_.push_back(std::move(step));
  }

  [[nodiscard]] std::vector<std::string> steps() const {
    const std::scoped_lock lock(mutex_);
    return steps_;
  }

  [[nodiscard]] bool has(const std::string& step) const {
    const auto all = steps();
    return std::find(all.begin(), all.end(), step) != all.end();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> steps_;
};

/// Called when a step begins; returns what the step shall fail with, or waits for the stop.
using StepHook = std::function<std::optional<Error>(const ports::JobContext&)>;

/// A hook that waits until the job is stopped, as a long step does.
inline StepHook until_stopped() {
  return [](const ports::JobContext& job) -> std::optional<Error> {
    sleep_for(std::chrono::minutes(1), job.stop);
    return Error{.kind = ErrorKind::cancelled, .message = "stopped"};
  };
}

inline StepHook failing(Error error) {
  return [error = std::move(error)](const ports::JobContext&) { return std::optional(error); };
}

class FakeSource final : public ports::SourceFetcher {
 public:
  explicit FakeSource(StepRecord& record) : record_(record) {}

  Result<ports::FetchedSource> fetch(const ports::JobContext& job, const domain::SourceSpec& source,
                                     domain::EventSink& events) override {
    record_.add(source.commit.empty() ? "fetch" : "fetch " + source.commit);
    events.info("cloning");
    if (hook) {
      if (auto error = hook(job)) {
        return std::unexpected(*error);
      }
    }
    return ports::FetchedSource{.commit = domain::CommitSha(std::string(40, 'a')),
                                .subject = "subject",
                                .committed_at = committed_at,
                                .tree = tree};
  }

  StepHook hook;
  std::chrono::sys_seconds committed_at{};
  std::shared_ptr<const ports::SourceTree> tree;

 private:
  StepRecord& record_;
};

class FakeImageBuilder final : public ports::ImageBuilder {
 public:
  explicit FakeImageBuilder(StepRecord& record) : record_(record) {}

  Result<ports::PublishResult> publish(const ports::JobContext& job, const ports::ImageSpec& image,
                                       domain::EventSink& events) override {
    if (const auto found = image.of_dockerfile().stat(image.dockerfile); !found) {
      return std::unexpected(found.error());
    }
    record_.add("build");
    events.emit(domain::StepStarted{1, step});
    events.emit(domain::StepOutput{1, false, "hello from the build\n"});
    events.emit(domain::StepFinished{1, step, false, "", {}});
    {
      const std::scoped_lock lock(mutex_);
      built = image;
    }
    if (events_hook) {
      events_hook(events);
    }
    if (hook) {
      if (auto error = hook(job)) {
        return std::unexpected(*error);
      }
    }
    if (!image_id.empty()) {
      image.on_built(image_id);
    }
    return push(job, image.repository, image.tag);
  }

  Result<std::optional<ports::PublishResult>> publish_built(const ports::JobContext& job,
                                                            const ports::Repository& repository,
                                                            const std::string& tag,
                                                            const std::string& id,
                                                            domain::EventSink&) override {
    if (id != image_id) {
      return std::nullopt;
    }
    auto pushed = push(job, repository, tag);
    return pushed ? Result<std::optional<ports::PublishResult>>(*pushed)
                  : std::unexpected(pushed.error());
  }

  Result<std::vector<domain::BaseImage>> find_bases(
      const ports::JobContext& job, const ports::Repository&,
      const std::vector<std::string>& names) override {
    record_.add("find_bases");
    if (bases_hook) {
      bases_hook(job);
    }
    std::vector<domain::BaseImage> found;
    for (const std::string& name : names) {
      if (const auto there = current_bases.find(name); there != current_bases.end()) {
        found.push_back({.name = name, .digest = there->second});
      }
    }
    return found;
  }

  void clean_up(const ports::JobContext&, const ports::Repository&, const std::string&) override {
    record_.add("clean_up");
    if (clean_up_hook) {
      clean_up_hook();
    }
  }

  std::string step = "[1/1] RUN true";
  StepHook hook;
  std::function<void(domain::EventSink&)> events_hook;
  std::function<void()> clean_up_hook;
  StepHook push_hook;
  ports::ImageSpec built;  ///< Read it when nothing is built any more.
  std::string image_id;    ///< What the engine keeps; empty: it pushes while it builds.
  std::optional<std::vector<domain::BaseImage>> bases;  ///< Of what is built.
  std::vector<domain::BaseImage> tagged;                ///< The same.
  std::optional<domain::Downloads> downloads;           ///< The same.
  std::map<std::string, std::string> current_bases;     ///< What names of images stand for.
  std::function<void(const ports::JobContext&)> bases_hook;

 private:
  Result<ports::PublishResult> push(const ports::JobContext& job,
                                    const ports::Repository& repository, const std::string& tag) {
    record_.add("push " + tag);
    if (push_hook) {
      if (auto error = push_hook(job)) {
        return std::unexpected(*error);
      }
    }
    return ports::PublishResult{
        .image = {.repository = repository, .tag = tag, .digest = "sha256:d"},
        .figures = {.bytes_pushed = 10},
        .bases = bases,
        .tagged = tagged,
        .downloads = downloads};
  }

  StepRecord& record_;
  std::mutex mutex_;
};

class FakeBuildpacks final : public ports::BuildpacksBuilder {
 public:
  explicit FakeBuildpacks(StepRecord& record) : record_(record) {}

  Result<ports::BuildpacksResult> publish(const ports::JobContext& job,
                                          const ports::BuildpacksSpec& spec,
                                          domain::EventSink& events) override {
    record_.add("buildpacks " + spec.tag);
    events.emit(domain::StepStarted{1, "DETECTING"});
    events.emit(domain::StepFinished{1, "DETECTING", false, "", {}});
    built = spec;
    if (hook) {
      if (auto error = hook(job)) {
        return std::unexpected(*error);
      }
    }
    return ports::BuildpacksResult{.published = {.image = {.repository = spec.repository,
                                                           .tag = spec.tag,
                                                           .digest = "sha256:d"},
                                                 .figures = {}},
                                   .buildpacks = {{"acme/node", "1.0"}, {"acme/procfile", "2.0"}},
                                   .processes = processes};
  }

  Result<ports::ExportedImage> load(const ports::JobContext&, const ports::BuildpacksSpec& spec,
                                    domain::EventSink&) override {
    record_.add("load buildpacks " + spec.tag);
    built = spec;
    return ports::ExportedImage{.digest = "sha256:i"};
  }

  StepHook hook;
  ports::BuildpacksSpec built;
  std::vector<std::string> processes{"web", "worker"};

 private:
  StepRecord& record_;
};

class FakeRegistry final : public ports::Registry {
 public:
  explicit FakeRegistry(StepRecord& record) : record_(record) {}

  Result<ports::Repository> ensure_repository(const ports::JobContext&,
                                              const domain::ServiceId& service) override {
    ++ensured;
    if (ensure_hook) {
      if (auto error = ensure_hook()) {
        return std::unexpected(*error);
      }
    }
    return ports::Repository{"registry.test/deployra/" + service.str()};
  }

  Result<std::optional<ports::Repository>> find_repository(
      const ports::JobContext&, const domain::ServiceId& service) override {
    return ports::Repository{"registry.test/deployra/" + service.str()};
  }

  Result<std::optional<ports::PublishedImage>> find(const ports::JobContext&,
                                                    const ports::Repository& repository,
                                                    const std::string& tag) override {
    record_.add("find " + tag);
    if (find_hook) {
      if (auto error = find_hook()) {
        return std::unexpected(*error);
      }
    }
    return there.empty() ? std::nullopt
                         : std::optional(ports::PublishedImage{
                               .repository = repository, .tag = tag, .digest = there});
  }

  Result<> probe(const ports::JobContext&) override {
    return probe_hook ? Result<>(std::unexpected(probe_hook())) : Result<>();
  }

  Result<> restore_repository(const ports::JobContext&, const ports::Repository&) override {
    record_.add("restore");
    return {};
  }

  Result<> add_tag(const ports::JobContext&, const ports::PublishedImage& image) override {
    record_.add("tag " + image.tag + " " + image.digest);
    return there == image.digest ? Result<>() : failure(ErrorKind::not_found, "no such image");
  }

  Result<domain::ImageLayers> promote(const ports::JobContext& job,
                                      const ports::PublishedImage& image) override {
    record_.add("promote " + image.tag);
    if (promote_hook) {
      if (auto error = promote_hook(job)) {
        return std::unexpected(*error);
      }
    }
    return layers;
  }

  domain::ImageLayers layers;  ///< Of every image; none: they are not known.
  std::function<std::optional<Error>()> ensure_hook;
  std::function<std::optional<Error>()> find_hook;
  std::function<Error()> probe_hook;  ///< What it fails with; none: it answers.
  std::atomic<int> ensured = 0;
  StepHook promote_hook;
  std::string there;  ///< The digest that every tag has; empty: no tag is there.

 private:
  StepRecord& record_;
};

/// A log that goes nowhere.
class NullLogSink final : public LogSink {
 public:
  void write(LogLevel, std::string_view) override {}

  [[nodiscard]] bool enabled(LogLevel) const override { return true; }
};

inline Log null_log() {
  return Log(std::make_shared<NullLogSink>());
}

}  // namespace builder::fakes
