#include "app/cli/command_line.hpp"
#include "app/cli/findings.hpp"
#include "app/cli/terminal.hpp"
#include "app/config/config.hpp"
#include "app/doctor/examination.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

namespace builder::app::cli {

namespace {

struct DoctorOptions {
  bool json = false;
  bool push_test = false;
  double timeout = 4;
};

Exit examine(const DoctorOptions& options) {
  const auto started = std::chrono::steady_clock::now();
  const LoadedConfig loaded = load_config();
  Examination examination(loaded, {.push_test = options.push_test,
                                   .patience = std::chrono::round<std::chrono::milliseconds>(
                                       std::chrono::duration<double>(options.timeout))});
  const Findings findings{.all = examination.findings(),
                          .took = std::chrono::steady_clock::now() - started};
  const Exit code = exit_of(findings, !loaded.errors.empty());
  fmt::print(
      "{}", options.json ? as_json(findings, code) : as_text(findings, terminal_of(STDOUT_FILENO)));
  std::fflush(stdout);
  if (!examination.is_over()) {
    // The thread that hangs cannot be joined, and what it uses must not go away under it.
    ::_exit(static_cast<int>(code));
  }
  return code;
}

}  // namespace

void add_doctor(CommandLine& line) {
  const auto options = std::make_shared<DoctorOptions>();
  CLI::App& verb =
      line.verb(nullptr, "doctor", "Look at everything that a worker with this configuration needs",
                "  deployra-builder doctor                what is wrong, and what to do?\n"
                "  deployra-builder doctor --json | jq    the same for programs\n"
                "  deployra-builder doctor --push-test    push a tiny blob as well",
                [options] { return examine(*options); });
  verb.add_flag("--json", options->json, "An object: findings, counts, seconds, exit");
  verb.add_option("--timeout", options->timeout, "How long a peer may take to answer; default: 4")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 600.0));
  verb.add_flag("--push-test", options->push_test,
                "Upload a tiny blob into the repository deployra/doctor, which is made for it");
}

}  // namespace builder::app::cli
