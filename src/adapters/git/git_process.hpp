#pragma once

#include "adapters/git/address_policy.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/subprocess.hpp"
#include "ports/job_context.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::adapters::git {

struct Access {
  CheckedEndpoint endpoint;
  std::string username;
  Secret password;  ///< Empty: anonymous.
};

/// Runs git with an environment made from nothing: no system or user configuration, no hooks, no
/// prompts, http(s) only. Settings go in by GIT_CONFIG_COUNT variables, so that no argument and no
/// file holds a credential.
class GitProcess {
 public:
  /// `home` is an empty folder of ours.
  GitProcess(std::string home, Log log) : home_(std::move(home)), log_(std::move(log)) {}

  struct Options {
    std::string git_dir;
    std::string work_tree;
    std::string index_file;
    const Access* access = nullptr;  ///< Only commands that go to the network get it.
    std::vector<std::pair<std::string, std::string>> config;
    std::string input;
    int held = -1;  ///< As `Command::held`.
  };

  /// Standard output of a git command (at most 256 MiB), or an error made from its exit code and
  /// standard error by `explain_git_failure`.
  Result<std::string> run(const ports::JobContext& job, const std::vector<std::string>& arguments,
                          const Options& options) const;
  /// A git command that stays and is talked to; `options.input` is not used.
  Result<Dialogue> start(const std::vector<std::string>& arguments, const Options& options) const;

 private:
  [[nodiscard]] Command command(const std::vector<std::string>& arguments,
                                const Options& options) const;

  std::string home_;
  Log log_;
};

/// Sorts a git failure by its message; sets the customer's line. `authenticated`: we had
/// credentials to send. Exposed for tests.
Error explain_git_failure(int exit_code, std::string_view standard_error, std::string_view host,
                          bool authenticated);

}  // namespace builder::adapters::git
