#include "app/cli/build_run.hpp"
#include "app/cli/history/access.hpp"
#include "app/cli/queue/access.hpp"
#include "app/config/config.hpp"
#include "base/redactor.hpp"
#include "base/text.hpp"
#include "domain/cache_namespaces.hpp"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace builder::app::cli {

namespace {

struct Options {
  std::string id;
  std::optional<int> attempt;
  std::string repository;
  bool new_bases = false;
  BuildLine build;
};

std::unexpected<Error> wrong(std::string message) {
  return failure(ErrorKind::invalid_input, std::move(message));
}

/// The newest run that is meant and got as far as a commit.
Result<const ports::KeptRunDetails*> chosen(const Options& options,
                                            const std::vector<FoundRun>& found) {
  const FoundRun* without_commit = nullptr;
  for (const FoundRun& each : found) {
    const ports::KeptRun& run = each.details.run;
    if (run.start.attempt == 0 || (options.attempt && run.start.attempt != *options.attempt)) {
      continue;  // An end without a build.
    }
    if (!run.end.commit.empty()) {
      return &each.details;
    }
    without_commit = without_commit == nullptr ? &each : without_commit;
  }
  if (without_commit != nullptr) {
    return failure(ErrorKind::not_found,
                   without_commit->details.run.end.outcome == ports::k_running
                       ? options.id + " is being built; its commit is known when it has ended"
                       : "the history does not tell which commit " + options.id +
                             " was: it ended before the source was there");
  }
  return failure(ErrorKind::not_found,
                 fmt::format("no history has {}{}", options.attempt ? "this attempt of " : "",
                             "deployment " + options.id));
}

/// What was typed behind `build` to get this run's image.
Result<BuildLine> line_of(const Options& options, const ports::RunStart& start) {
  BuildLine line = options.build;
  line.source = options.repository.empty() ? start.repository : options.repository;
  line.dockerfile = start.dockerfile;
  for (const std::string& text : {line.source, line.dockerfile}) {
    if (text.contains(Redactor::k_replacement)) {
      return wrong("the history hides a part of '" + printable_line(text) +
                   "', since it looked like a secret; name the repository with --repository, or "
                   "build it with 'build'");
    }
  }
  if (!is_git_address(line.source)) {
    return wrong(options.repository.empty()
                     ? "the history does not tell where the repository is; name it with "
                       "--repository"
                     : "--repository takes the address of a repository: https://HOST/PATH");
  }
  if (line.source.contains('#')) {
    return wrong(
        "--repository: the commit is that of the history; leave '#' and what follows away");
  }
  if (line.push.empty() && line.tags.empty()) {
    line.tags.push_back("replay:" + start.deployment.str());
  }
  return line;
}

Result<BuildWanted> wanted_for(const Options& options, const BuildLine& line,
                               const ports::KeptRunDetails& run) {
  BUILDER_TRY_ASSIGN(BuildWanted wanted, understood(line, process_variable));
  build::LocalBuild& build = wanted.build;
  build.request.commit_sha = run.run.end.commit;
  // What the platform said, and no option: what the repository says goes before it.
  build.knobs.dockerfile.reset();
  if (run.run.start.port != 0) {
    build.request.ports.push_back({.container_port = run.run.start.port});
  }
  // Nothing that it leaves at the engine is met by builds that their owner trusts.
  build.request.service_id = domain::ServiceId("replay-" + build.request.service_id.str());
  build.is_strangers = true;
  build.caches = domain::cache_namespaces(Secret(build.request.service_id.str()), build.request);
  std::vector<std::string> given;
  for (const domain::EnvironmentVariable& variable : build.request.environment) {
    given.push_back(variable.key);
  }
  wanted.replay = replayed(run, given, options.new_bases ? Bases::of_now : Bases::of_then);
  build.pins = wanted.replay->pins;
  return wanted;
}

Exit replay(const Options& options, const HistoryAccess& access) {
  const auto id = read_id(options.id);
  if (!id) {
    return Exit::usage;
  }
  const std::vector<FoundRun> found = access.histories.find(*id);
  complain_of(access.histories.missing());
  const auto run = chosen(options, found);
  if (!run) {
    complain(run.error().message);
    return Exit::failed;
  }
  const auto line = line_of(options, (*run)->run.start);
  auto wanted =
      line ? wanted_for(options, *line, **run) : Result<BuildWanted>(std::unexpected(line.error()));
  if (!wanted) {
    complain(wanted.error().message);
    return Exit::usage;
  }
  return run_build(*line, *std::move(wanted), {settings_around(), access.stop});
}

}  // namespace

void add_replay(CommandLine& command_line) {
  const auto options = std::make_shared<Options>();
  CLI::App& verb = command_line.verb(
      nullptr, "replay",
      "Build a deployment of the history again on this machine; neither queue nor platform hears "
      "of it",
      "  deployra-builder replay d0exampleexample0001 --env-file .env   as it was, into Docker\n"
      "  deployra-builder replay d0exampleexample0001 --explain    of what, and what is missing?\n"
      "  deployra-builder replay d0exampleexample0001 --new-bases  was it a base image?",
      [options] {
        return with_histories(
            [&](const HistoryAccess& access) { return replay(*options, access); });
      });
  verb.add_option("ID", options->id, "The deployment's id")->required()->type_name("");
  verb.add_option("--attempt", options->attempt, "This attempt; default: the last one")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000));
  verb.add_option("--repository", options->repository,
                  "Where its commit is, if it needs a login: https://USER:TOKEN@HOST/PATH")
      ->type_name("URL")
      ->check(is_something);
  declare_variables(verb, options->build);
  verb.add_flag("--new-bases", options->new_bases,
                "Take base images as they are now, not as they were");
  verb.add_flag("--no-cache", options->build.no_cache, "Run every step");
  declare_result(verb, options->build, "replay:ID");
}

}  // namespace builder::app::cli
