#include "adapters/cnb/platform.hpp"

#include "adapters/cnb/images.hpp"
#include "adapters/cnb/phase_events.hpp"
#include "adapters/cnb/several_platforms.hpp"
#include "base/text.hpp"
#include "domain/buildpacks/build_file.hpp"
#include "domain/buildpacks/lifecycle_exit.hpp"
#include "domain/customer_line.hpp"
#include "domain/platform_name.hpp"
#include "ports/overlay_tree.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

namespace builder::adapters::cnb {

namespace {

namespace buildpacks = domain::buildpacks;
using buildpacks::Remedy;
using Clock = std::chrono::steady_clock;
using ports::BuildpacksResult;
using ports::BuildpacksSpec;
using ports::JobContext;

/// Of builders that do not name their lifecycle's version.
constexpr std::string_view k_lifecycle_version = "0.20.11";
constexpr std::string_view k_login_secret = "cnb-login";
constexpr buildpacks::ApiVersion k_older_api{.major = 0, .minor = 11};
/// Asking for the last image is worth no more: without it the build is slower, nothing else.
constexpr std::chrono::seconds k_previous_limit{10};

/// Everything that stays the same over the attempts of one build.
struct Prepared {
  std::string platform;  ///< What the phases run on.
  ResolvedBuilder builder;
  bool trusted = false;
  std::string run_image;
  std::string lifecycle;               ///< Of a builder that is not trusted.
  domain::BaseImage run_version = {};  ///< With `BuildpacksSpec::pins_run_image`.
  std::string previous_image;
  std::string image;
  buildpacks::ApiVersion api;
  bool to_engine = false;
};

struct Attempt {
  buildpacks::ApiVersion api;
  bool anew = false;  ///< Nothing of earlier builds is used, and their cache is emptied.
  int number = 1;
};

/// How one solve ended: with the lifecycle's files and a time, or not.
struct Outcome {
  std::map<std::string, std::string> files;
  std::uint64_t context_bytes_sent = 0;
  Clock::duration export_time{0};
};

using Failure = buildpacks::LifecycleFailure;

/// What the lifecycle says about a registry, as far as something can be done about it. What was
/// said before may be a customer's.
oci::PushFailure registry_failure(Failure failed, const std::string& own_registry) {
  Error& error = failed.error;
  const auto fault = oci::classify_push_error(failed.last_word);
  if (fault != oci::PushFault::other) {
    error = oci::push_error(fault, std::move(error.message));
  }
  if (!failed.last_word.contains(own_registry)) {
    error.setting.clear();  // Of the builder's images, which are not everybody's.
  }
  return {.fault = fault, .error = std::move(error)};
}

/// A docker client's name for the registry whose API is at `host`.
std::string config_name(const std::string& host) {
  return host == "registry-1.docker.io" ? "https://index.docker.io/v1/" : host;
}

std::string version_or_default(const std::string& version) {
  const bool plain =
      !version.empty() && version.size() <= 40 && std::ranges::all_of(version, [](unsigned char c) {
        return c < 0x80 && (std::isalnum(c) != 0 || c == '.' || c == '-');
      });
  return plain ? version : std::string(k_lifecycle_version);
}

std::optional<int> exit_code_of(const std::map<std::string, std::string>& files) {
  const auto found = files.find("exit-code");
  if (found == files.end()) {
    return std::nullopt;
  }
  int code = 0;
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  return error == std::errc() && end != text.data() ? std::optional(code) : std::nullopt;
}

class Platform final : public ports::BuildpacksBuilder {
 public:
  Platform(PlatformSettings settings, PlatformPeers peers)
      : settings_(std::move(settings)), peers_(std::move(peers)), images_(peers_.images) {}

  Result<BuildpacksResult> publish(const JobContext& job, const BuildpacksSpec& spec,
                                   domain::EventSink& events) override {
    const auto begin = Clock::now();
    BUILDER_TRY_ASSIGN(Prepared prepared, prepare(job, spec, events));
    BUILDER_TRY_ASSIGN(prepared.previous_image, previous_image(job, spec, prepared.platform));
    BUILDER_TRY_ASSIGN(const Outcome built, build(job, spec, prepared, events));
    return result_of(job, spec, prepared, built, Clock::now() - begin);
  }

  Result<ports::ExportedImage> load(const JobContext& job, const BuildpacksSpec& spec,
                                    domain::EventSink& events) override {
    if (peers_.keeper == nullptr) {
      return failure(ErrorKind::invalid_input, "no Docker Engine is there to take the image");
    }
    if (const auto engine = peers_.solver.known_engine(job.stop);
        !spec.platform.empty() && engine && !buildkit::is_native(*engine, spec.platform)) {
      return std::unexpected(Error{
          .kind = ErrorKind::invalid_input,
          .message = "the Docker Engine gives the lifecycle run images of its own machine only",
          .customer = "An image that buildpacks make for another machine goes to a registry: "
                      "--push REF"});
    }
    BUILDER_TRY_ASSIGN(Prepared prepared, prepare(job, spec, events));
    prepared.to_engine = true;  // The last image is the one that has this name there.
    BUILDER_TRY(pull_run_image(job, prepared));
    BUILDER_TRY_ASSIGN(const Outcome built, build(job, spec, prepared, events));
    BUILDER_TRY_ASSIGN(docker::ImageDetails details,
                       peers_.keeper->inspect(prepared.image, job.stop));
    return ports::ExportedImage{.digest = std::move(details.id),
                                .size = details.size,
                                .context_bytes_sent = built.context_bytes_sent};
  }

  /// As of `WhyNot`.
  Result<std::string> why_not(const JobContext& job, const BuildpacksSpec& spec) {
    BUILDER_TRY_ASSIGN(const buildkit::EngineInfo engine, solver_of(spec).known_engine(job.stop));
    if (!buildkit::runs_platform(engine, spec.platform)) {
      return fmt::format("Builders for {} do not run here (the build machine is {})", spec.platform,
                         engine.platforms.front());
    }
    if (settings_.refuses_emulation && !buildkit::is_native(engine, spec.platform)) {
      return buildkit::emulation_refused(engine, spec.platform).customer;
    }
    const auto builder = builder_that_fits(job, spec);
    if (builder) {
      return std::string();
    }
    const std::string missing = no_variant(spec.builder, spec.platform).customer;
    return builder.error().customer == missing ? Result<std::string>(missing)
                                               : std::unexpected(builder.error());
  }

 private:
  buildkit::Solver& solver_of(const BuildpacksSpec& spec) {
    const auto own = std::ranges::find_if(peers_.engines, [&spec](const auto& engine) {
      return domain::is_same_machine(engine.first, spec.platform);
    });
    return own == peers_.engines.end() ? peers_.solver : *own->second;
  }

  Result<ResolvedBuilder> builder_that_fits(const JobContext& job, const BuildpacksSpec& spec) {
    BUILDER_TRY_ASSIGN(ResolvedBuilder builder,
                       images_.builder(job, spec.builder, spec.platform, spec.pins));
    const std::string& own = builder.image.platform;
    if (!own.empty() && !domain::is_same_machine(own, spec.platform)) {
      return std::unexpected(no_variant(builder.name, spec.platform));
    }
    return builder;
  }

  Result<Prepared> prepare(const JobContext& job, const BuildpacksSpec& spec,
                           domain::EventSink& events) {
    const std::string platform =
        spec.platform.empty() ? std::string(domain::k_default_platform) : spec.platform;
    // What nobody named may be what the operator's engine emulates all along.
    BUILDER_TRY_ASSIGN(const ResolvedBuilder builder,
                       spec.platform.empty() || spec.may_leave_out
                           ? images_.builder(job, spec.builder, platform, spec.pins)
                           : builder_that_fits(job, spec));
    BUILDER_TRY(admit(job, "Builder", builder.name, builder.version.digest));
    Prepared prepared{.platform = platform, .builder = builder};
    BUILDER_TRY_ASSIGN(prepared.api, buildpacks::choose_platform_api(builder.image, builder.name));
    prepared.trusted = buildpacks::is_listed(builder.name, settings_.trusted_builders);
    prepared.image = spec.repository.uri + ":" + spec.tag;
    if (!oci::parse_reference(prepared.image)) {
      return failure(ErrorKind::internal, "'" + prepared.image + "' is no image reference");
    }
    std::vector<std::string> candidates =
        settings_.run_image.empty()
            ? buildpacks::run_image_candidates(builder.image, spec.repository.host())
            : std::vector<std::string>{settings_.run_image};
    // A builder without labels has it in a file, which its creator reads by itself.
    if (!candidates.empty() || !prepared.trusted) {
      BUILDER_TRY_ASSIGN(Images::RunImage run,
                         images_.run_image(job, candidates, builder.name, spec.pins));
      BUILDER_TRY(admit(job, "Run image", run.name, run.version.digest));
      prepared.run_image = std::move(run.name);
      const auto reference = oci::parse_reference(prepared.run_image);
      if ((spec.pins_run_image || peers_.gate != nullptr) && reference) {
        prepared.run_image = oci::for_engine(reference->with_digest(run.version.digest));
      }
      if (spec.pins_run_image && reference) {
        prepared.run_version = std::move(run.version);
      }
    } else if (limits_images()) {
      return std::unexpected(
          Error{.kind = ErrorKind::build_failed,
                .message = "POLICY_FILE: " + builder.name + " names no run image in its labels",
                .customer = "The policy cannot be kept with this builder, which does not say what "
                            "its run image is; the operator can set CNB_RUN_IMAGE"});
    }
    if (!prepared.trusted) {
      BUILDER_TRY_ASSIGN(prepared.lifecycle, lifecycle_of(job, builder));
    }
    events.info(fmt::format("Building with buildpacks of {} ({}, platform API {})", builder.name,
                            prepared.trusted ? "trusted" : "untrusted: phase by phase",
                            prepared.api.str()));
    if (!prepared.trusted && !settings_.bindings.empty()) {
      events.warning("The builder is not trusted and gets none of the platform's service bindings");
    }
    return prepared;
  }

  [[nodiscard]] bool limits_images() const {
    return peers_.gate != nullptr && !peers_.gate->policy().images.empty();
  }

  /// What the policy says of an image; by the digest that the build will take. Gives the image that
  /// was looked at.
  Result<std::string> admit(const JobContext& job, std::string_view what, const std::string& name,
                            const std::string& digest) {
    if (peers_.gate == nullptr) {
      return name;
    }
    BUILDER_TRY_ASSIGN(const oci::Reference reference, oci::parse_reference(name));
    auto admitted = peers_.gate->admit(job, reference, digest);
    if (admitted) {
      return oci::for_engine(*admitted);
    }
    Error error = std::move(admitted).error();
    if (!error.customer.empty()) {
      error.customer = truncate_characters(fmt::format("{}: {}", what, error.customer),
                                           domain::k_customer_limit);
    }
    return std::unexpected(std::move(error).with_context("POLICY_FILE: " + std::string(what)));
  }

  Result<std::string> lifecycle_of(const JobContext& job, const ResolvedBuilder& builder) {
    constexpr std::string_view k_version = "{version}";
    std::string name = settings_.lifecycle_image;
    if (const auto at = name.find(k_version); at != std::string::npos) {
      name.replace(at, k_version.size(), version_or_default(builder.image.lifecycle_version));
    }
    return admit(job, "Lifecycle", name, {});
  }

  /// Empty: there is none, or its registry does not answer.
  Result<std::string> previous_image(const JobContext& job, const BuildpacksSpec& spec,
                                     const std::string& platform) {
    auto previous = images_.previous(job.within(k_previous_limit), spec.repository, platform);
    if (previous || job.stop.stop_requested()) {
      return previous;
    }
    job.log.warning("looking for the last image: {}", previous.error().message);
    return std::string();
  }

  /// The lifecycle reads it from where the image goes.
  Result<> pull_run_image(const JobContext& job, const Prepared& prepared) {
    const auto reference = oci::parse_reference(prepared.run_image);
    if (!reference) {
      return std::unexpected(
          Error{.kind = ErrorKind::invalid_input,
                .message = "builder " + prepared.builder.name + " names no run image in its labels",
                .customer = "The builder does not say which run image it wants: set CNB_RUN_IMAGE, "
                            "or --push REF"});
    }
    BUILDER_TRY_ASSIGN(const ports::SharedLogin login, peers_.logins.login(job, reference->host));
    return peers_.keeper->pull(oci::for_engine(*reference), login, job.stop);
  }

  [[nodiscard]] std::shared_ptr<const ports::SourceTree> context_of(const BuildpacksSpec& spec,
                                                                    const Prepared& prepared,
                                                                    const Attempt& attempt) const {
    std::map<std::string, std::string> files;
    for (const auto& [name, value] : spec.environment) {
      files["platform/env/" + name] = value;
    }
    files["cnb/project-metadata.toml"] =
        buildpacks::write_project_metadata(spec.source_url, spec.commit);
    if (prepared.trusted) {
      files["cnb/create"] = buildpacks::create_script();
    } else {
      files["cnb/run.toml"] = buildpacks::write_run_toml(prepared.run_image);
      files["cnb/stack.toml"] = buildpacks::write_stack_toml(prepared.run_image);
    }
    files["Dockerfile"] = buildpacks::write_build_file(build_file_of(prepared, attempt));
    return ports::make_overlay_tree(spec.app, std::move(files), "app");
  }

  [[nodiscard]] buildpacks::BuildFileSpec build_file_of(const Prepared& prepared,
                                                        const Attempt& attempt) const {
    buildpacks::BuildFileSpec file{.builder = prepared.builder.pinned,
                                   .image = prepared.image,
                                   .lifecycle = prepared.lifecycle,
                                   .trusted = prepared.trusted,
                                   .user_id = prepared.builder.image.user_id,
                                   .group_id = prepared.builder.image.group_id,
                                   .to_engine = prepared.to_engine,
                                   .empty_cache = attempt.anew,
                                   .bindings = {}};
    if (prepared.trusted) {
      for (std::size_t i = 0; i < settings_.bindings.size(); ++i) {
        file.bindings.push_back({.binding = settings_.bindings[i].binding,
                                 .key = settings_.bindings[i].key,
                                 .secret_id = fmt::format("cnb-binding-{}", i)});
      }
    }
    return file;
  }

  /// What was made for one machine is nothing to another.
  static Secret cache_of(const BuildpacksSpec& spec, const std::string& platform) {
    return domain::is_same_machine(platform, domain::k_default_platform)
               ? spec.cache_namespace
               : Secret(spec.cache_namespace.reveal() + "-" + domain::platform_word(platform));
  }

  /// Attempts until one succeeds or none can help. Each fault is mended once, the registry's as the
  /// registry's rules say.
  Result<Outcome> build(const JobContext& job, const BuildpacksSpec& spec, const Prepared& prepared,
                        domain::EventSink& events) {
    auto built = attempts(job, spec, prepared, events);
    return built ? std::move(built)
                 : std::unexpected(std::move(built).error().with_context("buildpacks"));
  }

  Result<Outcome> attempts(const JobContext& job, const BuildpacksSpec& spec,
                           const Prepared& prepared, domain::EventSink& events) {
    oci::RetryingPush retrying(peers_.registry, peers_.logins, job, spec.repository, events,
                               peers_.patience);
    Attempt attempt{.api = prepared.api, .anew = spec.clear_cache};
    std::uint32_t next_step = 1;
    for (;; ++attempt.number) {
      ports::SharedLogin login;
      if (!prepared.to_engine) {
        BUILDER_TRY_ASSIGN(login, retrying.login());
      }
      PhaseEvents phases(events, next_step);
      auto outcome = run(job, spec, prepared, attempt, login, phases);
      next_step = phases.next_step();
      if (outcome) {
        retrying.succeeded();
        return *std::move(outcome);
      }
      Failure failed = std::move(outcome).error();
      job.log.warning("attempt {}: {}", attempt.number, failed.error.message);
      if (failed.remedy == Remedy::without_cache && !attempt.anew) {
        attempt.anew = true;
        events.warning("What earlier builds left cannot be used; building without it");
      } else if (failed.remedy == Remedy::other_api &&
                 prepared.builder.image.platform_apis.empty() && attempt.api > k_older_api) {
        attempt.api = k_older_api;
      } else if (failed.remedy == Remedy::registry && !prepared.to_engine) {
        BUILDER_TRY(retrying.recover(registry_failure(std::move(failed), spec.repository.host())));
      } else {
        return std::unexpected(std::move(failed.error));
      }
    }
  }

  std::expected<Outcome, Failure> run(const JobContext& job, const BuildpacksSpec& spec,
                                      const Prepared& prepared, const Attempt& attempt,
                                      const ports::SharedLogin& login, PhaseEvents& phases) {
    auto logins = login_file(job, spec, prepared, login);
    if (!logins) {
      return std::unexpected(Failure{.error = std::move(logins).error()});
    }
    buildkit::SolveSpec solve{.service_id = spec.service_id,
                              .context = context_of(spec, prepared, attempt),
                              .dockerfile = "Dockerfile",
                              .exporter = "tar",
                              .cache_namespace = cache_of(spec, prepared.platform)};
    for (auto& [name, value] : buildpacks::build_arguments(
             {.platform_api = attempt.api,
              .nonce =
                  fmt::format("{}-{}-{}", job.deployment_id.str(), attempt.number, random_hex(4)),
              .previous_image = prepared.previous_image,
              .run_image = prepared.run_image,
              .epoch = settings_.commit_epoch ? std::optional(spec.committed_at) : std::nullopt,
              .skip_restore = attempt.anew})) {
      solve.frontend["build-arg:" + name] = std::move(value);
    }
    if (!spec.platform.empty()) {
      solve.frontend["platform"] = spec.platform;
    }
    if (prepared.to_engine) {
      solve.sockets.emplace(buildpacks::k_engine_socket, settings_.keeper);
    }
    if (settings_.host_network) {
      solve.frontend["force-network-mode"] = "host";
      solve.entitlements.emplace_back("network.host");
    }
    solve.secrets.emplace(k_login_secret, *std::move(logins));
    if (prepared.trusted) {
      for (std::size_t i = 0; i < settings_.bindings.size(); ++i) {
        solve.secrets.emplace(fmt::format("cnb-binding-{}", i), settings_.bindings[i].value);
      }
    }
    auto solved = solver_of(spec).solve(job, solve, phases);
    phases.finish();
    if (!solved) {
      return std::unexpected(explain(std::move(solved).error(), prepared, phases));
    }
    const int code = prepared.trusted ? exit_code_of(solved->files).value_or(-1) : 0;
    if (code != 0) {
      return std::unexpected(buildpacks::explain_exit(code, phases.trace()));
    }
    return Outcome{.files = std::move(solved->files),
                   .context_bytes_sent = solved->context_bytes_sent,
                   .export_time = phases.export_time()};
  }

  /// A solve that did not come to its end: a phase of an untrusted builder failed, or something
  /// that is not the customer's.
  static Failure explain(buildkit::SolveFailure failed, const Prepared& prepared,
                         const PhaseEvents& phases) {
    if (failed.exit_code && (!prepared.trusted || *failed.exit_code == 137)) {
      return buildpacks::explain_exit(*failed.exit_code, phases.trace());
    }
    Error error = std::move(failed.error);
    if (error.kind == ErrorKind::build_failed) {
      error.kind = ErrorKind::internal;
      error.customer = fmt::format("Builder {} could not be started; please contact the operator",
                                   printable_line(prepared.builder.name, 90));
    }
    return {.error = std::move(error)};
  }

  /// What the lifecycle is told about us at the registries: a docker client's configuration file.
  Result<Secret> login_file(const JobContext& job, const BuildpacksSpec& spec,
                            const Prepared& prepared, const ports::SharedLogin& login) {
    nlohmann::json auths = nlohmann::json::object();
    if (prepared.to_engine) {
      return Secret(nlohmann::json{{"auths", auths}}.dump());  // The Engine has what it reads.
    }
    const auto add = [&auths](const std::string& host, const ports::SharedLogin& one) {
      if (one != nullptr) {
        auths[config_name(host)] = {
            {"auth", base64_encode(one->username + ":" + one->password.reveal())}};
      }
    };
    const std::string own = oci::reference_of(spec.repository, {}).host;
    add(own, login);
    if (const auto run = oci::parse_reference(prepared.run_image); run && run->host != own) {
      BUILDER_TRY_ASSIGN(const ports::SharedLogin other, peers_.logins.login(job, run->host));
      add(run->host, other);
    }
    return Secret(nlohmann::json{{"auths", std::move(auths)}}.dump());
  }

  Result<BuildpacksResult> result_of(const JobContext& job, const BuildpacksSpec& spec,
                                     const Prepared& prepared, const Outcome& built,
                                     Clock::duration took) {
    // What is there counts, not what a file of the build says.
    const oci::Reference made = oci::reference_of(spec.repository, spec.tag);
    auto image = peers_.images.image(job, made);
    if (!image) {
      return std::unexpected(
          std::move(image).error().with_context("looking at the image that was made"));
    }
    const std::string& digest = image->reference.digest;
    const auto report = built.files.find("report.toml");
    const auto reported = report == built.files.end() ? Result<std::string>(std::string())
                                                      : buildpacks::read_report(report->second);
    if (!reported || *reported != digest) {
      return failure(
          ErrorKind::internal,
          fmt::format("the lifecycle reports {}, the registry has {}",
                      reported ? printable_line(*reported) : reported.error().message, digest));
    }
    std::vector<domain::BaseImage> tagged{prepared.builder.version, prepared.run_version};
    std::erase_if(tagged, [](const domain::BaseImage& one) { return one.name.empty(); });
    const auto group = built.files.find("group.toml");
    std::vector<domain::BaseImage> images = images_of(prepared, *image);
    return BuildpacksResult{
        .platform = prepared.platform,
        .published = {.image = {.repository = spec.repository, .tag = spec.tag, .digest = digest},
                      .figures = {.context_bytes_sent = built.context_bytes_sent,
                                  .bytes_pushed = 0,
                                  .build = took - built.export_time,
                                  .push = built.export_time},
                      .tagged = std::move(tagged)},
        .buildpacks = group == built.files.end() ? std::vector<buildpacks::Buildpack>()
                                                 : buildpacks::read_group(group->second),
        .processes = buildpacks::read_processes(image->config),
        // The lifecycle of a builder that is not trusted is an image of its own.
        .has_all_images = prepared.trusted && images.size() == 2,
        .images = std::move(images)};
  }

  /// The builder, and the run image as the lifecycle says which one it took.
  static std::vector<domain::BaseImage> images_of(const Prepared& prepared,
                                                  const oci::Image& made) {
    std::vector<domain::BaseImage> images{prepared.builder.version};
    if (images.front().name.empty()) {
      images.front().name = prepared.builder.pinned;
    }
    if (auto run = buildpacks::read_run_image(made.config)) {
      const auto asked = oci::parse_reference(prepared.run_image);
      if (asked && asked->digest.empty() &&
          oci::for_engine(asked->with_digest(run->digest)) == run->name + "@" + run->digest) {
        run->name = oci::for_engine(*asked);  // With its tag.
      }
      images.push_back(*std::move(run));
    }
    return images;
  }

  const PlatformSettings settings_;
  const PlatformPeers peers_;
  Images images_;
};

}  // namespace

std::unique_ptr<ports::BuildpacksBuilder> make_platform(PlatformSettings settings,
                                                        PlatformPeers peers) {
  auto platform = std::make_unique<Platform>(std::move(settings), peers);
  const auto why_not = [&one = *platform](const JobContext& job, const BuildpacksSpec& spec) {
    return one.why_not(job, spec);
  };
  return make_several_platforms(std::move(platform), why_not, std::move(peers));
}

}  // namespace builder::adapters::cnb
