#include "adapters/git/git_process.hpp"

#include "base/subprocess.hpp"
#include "base/text.hpp"
#include "domain/customer_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

namespace builder::adapters::git {

namespace {

using domain::customer_line;

/// A list of all files a deployment may have (ListingRoom), with an object's name each.
constexpr std::size_t k_largest_output = 80u << 20;
constexpr std::size_t k_kept_errors = 8 * 1024;
constexpr int k_most_warnings = 10;

/// Settings of every git process. A repository cannot change them: they come last.
const std::vector<std::pair<std::string, std::string>>& hardening() {
  static const std::vector<std::pair<std::string, std::string>> settings{
      {"core.hooksPath", "/dev/null"},
      {"core.fsmonitor", "false"},
      {"core.symlinks", "true"},
      {"core.bigFileThreshold", "32m"},  // Larger files are streamed, not held in memory.
      {"core.protectHFS", "true"},
      {"core.protectNTFS", "true"},
      {"core.autocrlf", "false"},
      {"protocol.allow", "never"},
      {"protocol.http.allow", "always"},
      {"protocol.https.allow", "always"},
      {"protocol.version", "2"},
      {"submodule.recurse", "false"},
      {"transfer.bundleURI", "false"},
      {"safe.bareRepository", "explicit"},
      // What git clone takes is taken: the commit that is built is checked by `list_commit`.
      {"fetch.fsckObjects", "false"},
      {"fetch.recurseSubmodules", "false"},
      {"gc.auto", "0"},
      {"maintenance.auto", "false"},
      {"http.followRedirects", "false"},
      {"credential.helper", ""},
      {"advice.detachedHead", "false"},
      {"uploadpack.packObjectsHook", ""},
  };
  return settings;
}

/// git connects to the addresses that were checked, whatever DNS says by then.
void pin_addresses(std::vector<std::pair<std::string, std::string>>& config,
                   const CheckedEndpoint& checked) {
  if (const std::string pinned = checked.pinned(); !pinned.empty()) {
    config.emplace_back("http.curloptResolve", pinned);
  }
}

bool has_secrets(const GitProcess::Options& options) {
  return options.access != nullptr &&
         !(options.access->password.empty() && options.access->endpoint.proxy.empty());
}

std::string quoted_value(std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    text += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  }
  return text + "\"\n";
}

/// A file of git's configuration. The header is bound to one origin: git sends it nowhere else.
/// Sent at once, it saves the round trip of a 401.
std::string secret_configuration(const Access& access) {
  std::string text;
  if (!access.endpoint.proxy.empty()) {
    text += "[http]\n\tproxy = " + quoted_value(access.endpoint.proxy.reveal());
  }
  if (!access.password.empty()) {
    text += "[http \"" + access.endpoint.endpoint.origin() +
            "/\"]\n\textraHeader = " + quoted_value("Authorization: " + access.authorization());
  }
  return text;
}

std::vector<std::string> environment(const std::string& home, const GitProcess::Options& options) {
  const char* path = std::getenv("PATH");
  std::vector<std::string> variables{
      std::string("PATH=") + (path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path),
      "HOME=" + home,
      "LC_ALL=C",
      "GIT_CONFIG_NOSYSTEM=1",
      "GIT_CONFIG_GLOBAL=/dev/null",
      "GIT_ATTR_NOSYSTEM=1",
      "GIT_TERMINAL_PROMPT=0",
      "GIT_ASKPASS=/bin/false",
      "GIT_OPTIONAL_LOCKS=0",
      "GIT_DIR=" + options.git_dir,
  };
  if (!options.work_tree.empty()) {
    variables.push_back("GIT_WORK_TREE=" + options.work_tree);
  }
  if (!options.index_file.empty()) {
    variables.push_back("GIT_INDEX_FILE=" + options.index_file);
  }
  std::vector<std::pair<std::string, std::string>> config = hardening();
  if (options.access != nullptr) {
    pin_addresses(config, options.access->endpoint);
    if (has_secrets(options)) {
      config.emplace_back("include.path", fmt::format("/proc/self/fd/{}", k_shared_fd));
    }
  }
  config.insert(config.end(), options.config.begin(), options.config.end());
  variables.push_back(fmt::format("GIT_CONFIG_COUNT={}", config.size()));
  for (std::size_t i = 0; i < config.size(); ++i) {
    variables.push_back(fmt::format("GIT_CONFIG_KEY_{}={}", i, config[i].first));
    variables.push_back(fmt::format("GIT_CONFIG_VALUE_{}={}", i, config[i].second));
  }
  return variables;
}

struct Symptom {
  std::string_view text;
  ErrorKind kind;
  std::string_view customer;  ///< "{0}" stands for the host, "{1}" for the repository.
};

constexpr std::string_view k_redirected = "returned error: 30";
constexpr std::string_view k_refused =
    "{0} refused the user name or the password; correct them in the git provider's settings";
/// The platform gets its tokens there, and they expire.
constexpr std::string_view k_github = "github.com";
constexpr std::string_view k_refused_by_github =
    "{0} refused the credentials; the access token may have expired: reconnect the account";
constexpr std::string_view k_proxy = "The builder's proxy does not lead to {0}; deploy again later";
constexpr std::string_view k_unknown =
    "The repository {1} was not found on {0}; check its name, or the account's right to read it";
constexpr std::string_view k_broke = "The connection to {0} broke; deploy again";
constexpr std::string_view k_no_credentials =
    "{0} asks for credentials for this repository; connect an account that may read it";

/// In the order they are looked for: the first that occurs in git's words decides.
constexpr auto k_symptoms = std::to_array<Symptom>({
    // What git does after a 401: it would ask somebody.
    {"Authentication failed", ErrorKind::denied, k_refused},
    {"could not read Username", ErrorKind::denied, k_refused},
    {"terminal prompts disabled", ErrorKind::denied, k_refused},
    {"returned error: 401", ErrorKind::denied, k_refused},
    {"returned error: 403", ErrorKind::denied,
     "{0} denies access to this repository; check the account's rights"},
    {"not our ref", ErrorKind::not_found, ""},
    {"unadvertised object", ErrorKind::not_found, ""},
    {"couldn't find remote ref", ErrorKind::not_found, ""},
    {"Repository not found", ErrorKind::not_found, k_unknown},
    {"' not found", ErrorKind::not_found, k_unknown},
    {"returned error: 404", ErrorKind::not_found, k_unknown},
    {k_redirected, ErrorKind::invalid_input,
     "The repository has moved to another address; enter its new name in the settings"},
    // Mirror::open can make a mirror of the server's format.
    {"mismatched algorithms", ErrorKind::conflict, ""},
    {"does not support this repository's object format", ErrorKind::conflict, ""},
    {"No space left on device", ErrorKind::unavailable,
     "The builder has no disk space left for this repository; deploy again later"},
    {"died of signal 25", ErrorKind::invalid_input,  // SIGXFSZ: Command::largest_file
     "The repository is too large; it may have at most 2 GiB of packed data"},
    {"Out of memory", ErrorKind::invalid_input,  // Command::largest_memory
     "git needs too much memory for this repository: its history holds a huge file, tree or "
     "commit; "
     "remove it, or keep large files in Git LFS"},
    {"File too large", ErrorKind::invalid_input,
     "The repository is too large; it may have at most 2 GiB of packed data"},
    {"SSL certificate problem", ErrorKind::invalid_input,
     "The TLS certificate of {0} is not trusted; install a valid certificate there"},
    {"certificate", ErrorKind::invalid_input,
     "The TLS certificate of {0} is not trusted; install a valid certificate there"},
    {"gnutls_handshake", ErrorKind::unavailable,
     "No TLS connection to {0} is possible; check that its URL and port speak https"},
    {"SSL", ErrorKind::unavailable,
     "No TLS connection to {0} is possible; check that its URL and port speak https"},
    {"not valid: is this a git repository", ErrorKind::not_found,
     "There is no git repository at this address on {0}; check the repository's name"},
    {"from proxy", ErrorKind::unavailable, k_proxy},
    {"resolve proxy", ErrorKind::unavailable, k_proxy},
    {"returned error: 407", ErrorKind::unavailable, k_proxy},
    {"Could not resolve host", ErrorKind::unavailable, "{0} cannot be found at the moment"},
    {"Failed to connect", ErrorKind::unavailable,
     "{0} cannot be reached at the moment; deploy again later"},
    {"Connection refused", ErrorKind::unavailable,
     "{0} cannot be reached at the moment; deploy again later"},
    {"returned error: 5", ErrorKind::unavailable,
     "{0} has a problem at the moment; deploy again later"},
    {"returned error: 429", ErrorKind::unavailable,
     "{0} limits requests at the moment; deploy again later"},
    {"early EOF", ErrorKind::unavailable, k_broke},
    {"unexpected disconnect", ErrorKind::unavailable, k_broke},
    {"RPC failed", ErrorKind::unavailable, k_broke},
    // A connection that closes among an answer's headers: to git the answer is over, and empty.
    {"expected flush after ref listing", ErrorKind::unavailable, k_broke},
    {"expected 'packfile'", ErrorKind::unavailable, k_broke},
    {"dumb http transport", ErrorKind::unavailable,
     "{0} does not answer in git's smart HTTP protocol; check the git provider's URL"},
    {"unable to access", ErrorKind::unavailable,
     "{0} cannot be reached at the moment; deploy again later"},
});

/// Paths of ours say nothing to a customer, and are not theirs to know.
std::string without_our_paths(std::string text, const GitProcess::Options& options) {
  for (const std::string& path : {options.index_file, options.work_tree, options.git_dir}) {
    for (std::size_t at = 0; !path.empty() && (at = text.find(path, at)) != std::string::npos;) {
      text.replace(at, path.size(), "…");
    }
  }
  return text;
}

/// The first line that begins with one of some words, without it.
std::string line_after(std::string_view standard_error,
                       std::initializer_list<std::string_view> words) {
  std::istringstream lines{std::string(standard_error)};
  for (std::string line; std::getline(lines, line);) {
    for (const std::string_view word : words) {
      if (line.starts_with(word)) {
        return printable_line(line.substr(word.size()));
      }
    }
  }
  return {};
}

Asked asked_by(const GitProcess::Options& options) {
  const Access* access = options.access;
  return access == nullptr ? Asked()
                           : Asked{.host = access->endpoint.endpoint.host,
                                   .repository = access->repository,
                                   .authenticated = !access->password.empty()};
}

void pass_warnings(std::string_view standard_error, const GitProcess::Options& options) {
  std::istringstream lines(without_our_paths(std::string(standard_error), options));
  int passed = 0;
  for (std::string line; passed < k_most_warnings && std::getline(lines, line);) {
    if (line.starts_with("warning: ")) {
      options.warnings->warning(customer_line("git: " + printable_line(line.substr(9))));
      ++passed;
    }
  }
}

}  // namespace

std::string Access::authorization() const {
  return "Basic " + base64_encode(username + ":" + password.reveal());
}

bool is_redirection(const Error& error) {
  return error.message.contains(k_redirected);
}

Error explain_git_failure(int exit_code, std::string_view standard_error, const Asked& asked) {
  constexpr std::size_t k_shown = 60;
  Error error{.kind = ErrorKind::internal,
              .message = fmt::format("git exited with {}: {}", exit_code,
                                     printable_line(standard_error.substr(0, 1'000)))};
  for (const Symptom& symptom : k_symptoms) {
    if (standard_error.contains(symptom.text)) {
      error.kind = symptom.kind;
      const std::string_view form = symptom.customer != k_refused ? symptom.customer
                                    : !asked.authenticated        ? k_no_credentials
                                    : asked.host == k_github      ? k_refused_by_github
                                                                  : k_refused;
      std::string line = fmt::format(
          fmt::runtime(form), asked.host.empty() ? "The git host" : asked.host.substr(0, k_shown),
          truncate_characters(asked.repository, k_shown));
      if (const std::string words = line_after(standard_error, {"remote: "});
          !words.empty() && !line.empty() && !line.contains("not found")) {
        line += fmt::format("; {} says: {}", asked.host, words);
      }
      error.customer = customer_line(line);
      break;
    }
  }
  return error;
}

Command GitProcess::command(const std::vector<std::string>& arguments,
                            const Options& options) const {
  Command command;
  command.arguments = {"git"};
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  command.environment = environment(home_, options);
  command.directory = options.work_tree.empty() ? options.git_dir : options.work_tree;
  command.held = options.held;
  command.largest_memory = largest_memory_;
  command.largest_file = options.access == nullptr ? 0 : k_largest_download;
  return command;
}

Result<Coprocess> GitProcess::start(const std::vector<std::string>& arguments,
                                    const Options& options) const {
  return Coprocess::start(command(arguments, options));
}

Result<std::string> GitProcess::run(const ports::JobContext& job,
                                    const std::vector<std::string>& arguments,
                                    const Options& options) const {
  std::string out;
  std::string err;
  const auto started = std::chrono::steady_clock::now();
  Command git = command(arguments, options);
  Fd secrets;
  if (has_secrets(options)) {
    BUILDER_TRY_ASSIGN(secrets, make_memory_file(secret_configuration(*options.access)));
    git.shared = secrets.get();
  }
  const auto finished = run_process(
      git,
      [&](std::string_view chunk) {
        out += chunk.substr(0, k_largest_output - std::min(k_largest_output, out.size()));
      },
      [&](std::string_view chunk) {
        err += chunk.substr(0, k_kept_errors - std::min(k_kept_errors, err.size()));
      },
      job.stop, job.deadline);
  if (!finished) {
    return std::unexpected(finished.error());
  }
  job.log.debug("git {} took {} ms", arguments.front(),
                std::chrono::duration_cast<std::chrono::milliseconds>(
                    std::chrono::steady_clock::now() - started)
                    .count());
  if (finished->exit_code != 0) {
    Error error = explain_git_failure(finished->exit_code, err, asked_by(options));
    const std::string complaint =
        line_after(without_our_paths(err, options), {"error: ", "fatal: "});
    if (error.kind == ErrorKind::internal && !complaint.empty()) {
      error.customer = customer_line("git cannot use this repository: " + complaint);
    }
    return std::unexpected(std::move(error));
  }
  if (options.warnings != nullptr) {
    pass_warnings(err, options);
  }
  return out;
}

}  // namespace builder::adapters::git
