#include "adapters/git/git_process.hpp"

#include "base/subprocess.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace builder::adapters::git {

namespace {

constexpr std::size_t k_largest_output = 256u << 20;
/// Of what comes over the network.
constexpr std::uint64_t k_largest_file = 2ULL << 30U;
constexpr std::size_t k_kept_errors = 8 * 1024;

/// Settings of every git process. A repository cannot change them: they come last.
const std::vector<std::pair<std::string, std::string>>& hardening() {
  static const std::vector<std::pair<std::string, std::string>> settings{
      {"core.hooksPath", "/dev/null"},
      {"core.fsmonitor", "false"},
      {"core.symlinks", "true"},
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
      {"fetch.fsckObjects", "true"},
      // Old and harmless: well-known repositories hold such objects.
      {"fetch.fsck.zeroPaddedFilemode", "ignore"},
      {"fetch.fsck.missingSpaceBeforeDate", "ignore"},
      {"fetch.fsck.missingSpaceBeforeEmail", "ignore"},
      {"fetch.fsck.missingNameBeforeEmail", "ignore"},
      {"fetch.fsck.missingEmail", "ignore"},
      {"fetch.fsck.badEmail", "ignore"},
      {"fetch.fsck.badName", "ignore"},
      {"fetch.fsck.badDate", "ignore"},
      {"fetch.fsck.badDateOverflow", "ignore"},
      {"fetch.fsck.zeroPaddedDate", "ignore"},
      {"fetch.fsck.badTimezone", "ignore"},
      {"fetch.fsck.multipleAuthors", "ignore"},
      {"fetch.recurseSubmodules", "false"},
      {"gc.auto", "0"},
      {"maintenance.auto", "false"},
      {"http.followRedirects", "false"},
      {"http.lowSpeedLimit", "1000"},
      {"http.lowSpeedTime", "60"},
      {"credential.helper", ""},
      {"advice.detachedHead", "false"},
      {"uploadpack.packObjectsHook", ""},
  };
  return settings;
}

void add_access(std::vector<std::pair<std::string, std::string>>& config, const Access& access) {
  const Endpoint& endpoint = access.endpoint.endpoint;
  // git connects to the addresses that were checked, whatever DNS says by then.
  std::string pinned;
  for (const std::string& address : access.endpoint.addresses) {
    pinned += pinned.empty() ? "" : ",";
    pinned += address.contains(':') ? "[" + address + "]" : address;
  }
  if (pinned != endpoint.host && pinned != "[" + endpoint.host + "]") {
    config.emplace_back("http.curloptResolve",
                        fmt::format("{}:{}:{}", endpoint.host, endpoint.port, pinned));
  }
  if (!access.password.empty()) {
    // Bound to one origin: git sends it nowhere else. Sent at once, it saves the 401 round trip.
    config.emplace_back(
        "http." + endpoint.origin() + "/.extraHeader",
        "Authorization: Basic " + base64_encode(access.username + ":" + access.password.reveal()));
  }
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
    add_access(config, *options.access);
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
  std::string_view customer;  ///< "{}" stands for the host.
};

constexpr std::string_view k_refused =
    "{} refused the credentials; the access token may have expired: reconnect the account";
constexpr std::string_view k_broke = "The connection to {} broke; deploy again";
constexpr std::string_view k_no_credentials =
    "{} asks for credentials for this repository; connect an account that may read it";

/// In the order they are looked for: the first that occurs in git's words decides.
constexpr auto k_symptoms = std::to_array<Symptom>({
    // What git does after a 401: it would ask somebody.
    {"Authentication failed", ErrorKind::denied, k_refused},
    {"could not read Username", ErrorKind::denied, k_refused},
    {"terminal prompts disabled", ErrorKind::denied, k_refused},
    {"returned error: 401", ErrorKind::denied, k_refused},
    {"returned error: 403", ErrorKind::denied,
     "{} denies access to this repository; check the account's rights or reconnect it"},
    {"not our ref", ErrorKind::not_found, ""},
    {"unadvertised object", ErrorKind::not_found, ""},
    {"couldn't find remote ref", ErrorKind::not_found, ""},
    {"Repository not found", ErrorKind::not_found,
     "The repository was not found on {}; check its name, or the account's right to read it"},
    {"' not found", ErrorKind::not_found,
     "The repository was not found on {}; check its name, or the account's right to read it"},
    {"returned error: 404", ErrorKind::not_found,
     "The repository was not found on {}; check its name, or the account's right to read it"},
    {"returned error: 30", ErrorKind::invalid_input,
     "The repository has moved to another address; enter its new name in the settings"},
    {"unable to update url base from redirection", ErrorKind::invalid_input,
     "The repository has moved to another address; enter its new name in the settings"},
    {"No space left on device", ErrorKind::unavailable,
     "The builder has no disk space left for this repository; deploy again later"},
    {"died of signal 25", ErrorKind::invalid_input,  // SIGXFSZ: Command::largest_file
     "The repository is too large; it may have at most 2 GiB of packed data"},
    {"File too large", ErrorKind::invalid_input,
     "The repository is too large; it may have at most 2 GiB of packed data"},
    {"SSL certificate problem", ErrorKind::invalid_input,
     "The TLS certificate of {} is not trusted; install a valid certificate there"},
    {"certificate", ErrorKind::invalid_input,
     "The TLS certificate of {} is not trusted; install a valid certificate there"},
    {"gnutls_handshake", ErrorKind::unavailable,
     "No TLS connection to {} is possible; check that its URL and port speak https"},
    {"SSL", ErrorKind::unavailable,
     "No TLS connection to {} is possible; check that its URL and port speak https"},
    {"not valid: is this a git repository", ErrorKind::not_found,
     "There is no git repository at this address on {}; check the repository's name"},
    {"Could not resolve host", ErrorKind::unavailable, "{} cannot be found at the moment"},
    {"Failed to connect", ErrorKind::unavailable,
     "{} cannot be reached at the moment; deploy again later"},
    {"Connection refused", ErrorKind::unavailable,
     "{} cannot be reached at the moment; deploy again later"},
    {"returned error: 5", ErrorKind::unavailable,
     "{} has a problem at the moment; deploy again later"},
    {"returned error: 429", ErrorKind::unavailable,
     "{} limits requests at the moment; deploy again later"},
    {"Operation too slow", ErrorKind::timed_out,
     "{} is too slow at the moment; deploy again later"},
    {"early EOF", ErrorKind::unavailable, k_broke},
    {"unexpected disconnect", ErrorKind::unavailable, k_broke},
    {"RPC failed", ErrorKind::unavailable, k_broke},
    // A connection that closes among an answer's headers: to git the answer is over, and empty.
    {"expected flush after ref listing", ErrorKind::unavailable, k_broke},
    {"expected 'packfile'", ErrorKind::unavailable, k_broke},
    {"dumb http transport", ErrorKind::unavailable,
     "{} does not answer in git's smart HTTP protocol; check the git provider's URL"},
    {"unable to access", ErrorKind::unavailable,
     "{} cannot be reached at the moment; deploy again later"},
});

}  // namespace

Error explain_git_failure(int exit_code, std::string_view standard_error, std::string_view host,
                          bool authenticated) {
  Error error{.kind = ErrorKind::internal,
              .message = fmt::format("git exited with {}: {}", exit_code,
                                     one_line(standard_error.substr(0, 1'000)))};
  for (const Symptom& symptom : k_symptoms) {
    if (standard_error.contains(symptom.text)) {
      error.kind = symptom.kind;
      const bool lacks_credentials = symptom.customer == k_refused && !authenticated;
      std::string line(lacks_credentials ? k_no_credentials : symptom.customer);
      if (const std::size_t mark = line.find("{}"); mark != std::string::npos) {
        line.replace(mark, 2,
                     host.empty() ? std::string("The git host") : std::string(host.substr(0, 60)));
      }
      error.customer = std::move(line);
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
  command.input = options.input;
  command.held = options.held;
  command.largest_file = options.access == nullptr ? 0 : k_largest_file;
  return command;
}

Result<Dialogue> GitProcess::start(const std::vector<std::string>& arguments,
                                   const Options& options) const {
  return Dialogue::start(command(arguments, options));
}

Result<std::string> GitProcess::run(const ports::JobContext& job,
                                    const std::vector<std::string>& arguments,
                                    const Options& options) const {
  std::string out;
  std::string err;
  const auto started = std::chrono::steady_clock::now();
  const auto finished = run_process(
      command(arguments, options),
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
  log_.debug("git {} took {} ms", arguments.front(),
             std::chrono::duration_cast<std::chrono::milliseconds>(
                 std::chrono::steady_clock::now() - started)
                 .count());
  if (finished->exit_code != 0) {
    const std::string host =
        options.access == nullptr ? std::string() : options.access->endpoint.endpoint.host;
    const bool authenticated = options.access != nullptr && !options.access->password.empty();
    return std::unexpected(explain_git_failure(finished->exit_code, err, host, authenticated));
  }
  return out;
}

}  // namespace builder::adapters::git
