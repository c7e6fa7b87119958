#pragma once

#include "adapters/git/address_policy.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/subprocess.hpp"
#include "domain/build_event.hpp"
#include "ports/job_context.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::adapters::git {

/// Of what comes over the network.
inline constexpr std::uint64_t k_largest_download = 2ULL << 30U;

struct Access {
  CheckedEndpoint endpoint;
  std::string repository;  ///< As a line for the customer names it.
  std::string username;
  Secret password;  ///< Empty: anonymous.

  /// The value of the header that shows the credentials to the server.
  [[nodiscard]] std::string authorization() const;
};

/// Runs git with an environment made from nothing: no system or user configuration, no hooks, no
/// prompts, http(s) only. Settings go in by GIT_CONFIG_COUNT variables; one of them includes a file
/// in memory that holds the credentials, so that no argument, no environment and no file on a disk
/// does: what git and its children write of themselves cannot show them.
class GitProcess {
 public:
  /// `home` is an empty folder of ours. `largest_memory`: bytes of each process; 0: any.
  GitProcess(std::string home, std::uint64_t largest_memory)
      : home_(std::move(home)), largest_memory_(largest_memory) {}

  struct Options {
    std::string git_dir;
    std::string work_tree;
    std::string index_file;
    const Access* access = nullptr;  ///< Only commands that go to the network get it.
    std::vector<std::pair<std::string, std::string>> config;
    int held = -1;                          ///< As `Command::held`.
    domain::EventSink* warnings = nullptr;  ///< Gets what git warns about.
  };

  /// Standard output of a git command (at most 80 MiB), or an error made from its exit code and
  /// standard error by `explain_git_failure`.
  Result<std::string> run(const ports::JobContext& job, const std::vector<std::string>& arguments,
                          const Options& options) const;
  /// A git command that stays and is talked to; it gets no access.
  Result<Coprocess> start(const std::vector<std::string>& arguments, const Options& options) const;

 private:
  [[nodiscard]] Command command(const std::vector<std::string>& arguments,
                                const Options& options) const;

  std::string home_;
  std::uint64_t largest_memory_;
};

/// Whom a git command asked, and for what. Empty: nobody, the command is this machine's affair.
struct Asked {
  std::string_view host;
  std::string_view repository;
  bool authenticated = false;  ///< We had credentials to send.
};

/// Sorts a git failure by its message; sets the customer's line. Exposed for tests.
Error explain_git_failure(int exit_code, std::string_view standard_error, const Asked& asked);

/// Whether the server answered with a redirection, which git was told not to follow.
bool is_redirection(const Error& error);

}  // namespace builder::adapters::git
