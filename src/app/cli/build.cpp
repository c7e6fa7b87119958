#include "app/cli/build_run.hpp"
#include "app/cli/view/view.hpp"
#include "app/process/interrupt.hpp"

#include <memory>
#include <set>
#include <string>

namespace builder::app::cli {

namespace {

Exit build(const BuildLine& line) {
  auto wanted = understood(line, process_variable);
  if (!wanted) {
    complain(wanted.error().message);
    return Exit::usage;
  }
  // Not before: a file of variables may be a pipe that nobody writes to.
  const Interrupt interrupt;
  return run_build(line, *std::move(wanted), {process_variable, interrupt.token()});
}

/// Options that name what is built.
void declare_source(CLI::App& verb, BuildLine& line) {
  verb.add_option(
          "SOURCE", line.source,
          "A folder, or https://HOST/REPOSITORY[#[BRANCH][:FOLDER]]; default: the folder we "
          "are in")
      ->type_name("DIR");
  verb.add_option("-f,--file", line.dockerfile, "The Dockerfile; default: Dockerfile")
      ->type_name("FILE")
      ->check(is_something);
  verb.add_option("--target", line.target, "Build this stage of the Dockerfile")
      ->type_name("STAGE")
      ->check(is_something);
  verb.add_option("--platform", line.platform,
                  "Default: linux/amd64; several with commas, for --push and --output type=oci")
      ->type_name("OS/ARCH")
      ->check(is_something);
  verb.add_option("--build-arg", line.arguments, "A value for ARG; repeatable")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  declare_variables(verb, line);
  verb.add_option("--builder", line.builder, "Builder image, where there is no Dockerfile")
      ->type_name("IMAGE")
      ->check(is_something);
  verb.add_flag("--no-cache", line.no_cache, "Run every step");
}

}  // namespace

void declare_variables(CLI::App& verb, BuildLine& line) {
  verb.add_option("--env", line.environment,
                  "A variable of the service: written to .env, as the platform does; repeatable")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  verb.add_option("--env-file", line.environment_files, "A file of such variables; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

void declare_result(CLI::App& verb, BuildLine& line, const std::string& name) {
  verb.add_option("-t,--tag", line.tags, "Name of the image; default: " + name + "; repeatable")
      ->type_name("NAME[:TAG]")
      ->allow_extra_args(false)
      ->check(is_something);
  verb.add_option("-o,--output", line.output,
                  "Write the files of the image to a folder; type=oci|docker|tar|local,dest=PATH "
                  "says how and where, and - is stdout")
      ->type_name("DIR")
      ->check(is_something);
  verb.add_option("--push", line.push, "Push the image to a registry under this name; repeatable")
      ->type_name("REF")
      ->allow_extra_args(false)
      ->check(is_something);
  verb.add_option("--progress", line.progress, "How it is shown")
      ->check(CLI::IsMember(std::set<std::string>(k_progress.begin(), k_progress.end())))
      ->type_name("HOW");
  verb.add_flag("-q,--quiet", line.quiet, "Print the digest or ID of the image, and no more");
  verb.add_flag("--json", line.json, "For programs: as --progress=json");
  verb.add_flag("--explain", line.explain, "Say what would be built, and of what; run nothing");
}

void add_build(CommandLine& command_line) {
  const auto line = std::make_shared<BuildLine>();
  CLI::App& verb = command_line.verb(
      nullptr, "build", "Build the image of a folder or a repository as the platform would",
      "  deployra-builder build                                    the folder we are in, into "
      "Docker\n"
      "  deployra-builder build -t shop/web:1.2 --env-file .env web/\n"
      "  deployra-builder build https://github.com/shop/web#main   a repository\n"
      "  deployra-builder build --output type=oci,dest=image.tar   into a file\n"
      "  deployra-builder build --push registry.example.com/shop/web:1.2\n"
      "  deployra-builder build --explain                          what would it be made of?",
      [line] { return build(*line); });
  declare_source(verb, *line);
  declare_result(verb, *line, "the folder's");
}

}  // namespace builder::app::cli
