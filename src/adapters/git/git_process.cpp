#include "adapters/git/git_process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/subprocess.hpp"
#include "base/text.hpp"

namespace builder::adapters::git {

namespace {

constexpr std::size_t k_largest_output = 256u << 20;
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
      {"fetch.recurseSubmodules", "false"},
      {"gc.auto", "0"},
      {"maintenance.auto", "false"},
      {"http.followRedirects", "false"},
      {"http.lowSpeedLimit", "1000"},
      {"http.lowSpeedTime", "60"},
      {"credential.helper", ""},
      {"advice.detachedHead", "false"},
      // LFS content is fetched only where the fetcher says so.
      {"filter.lfs.smudge", "cat"},
      {"filter.lfs.required", "false"},
      {"uploadpack.packObjectsHook", ""},
  };
  return settings;
}

void add_access(std::vector<std::pair<std::string, std::string>>& config, const Access& access) {
  const Endpoint& endpoint = access.endpoint.endpoint;
  if (endpoint.host != access.endpoint.address) {
    // git connects to the address that was checked, whatever DNS says by then.
    const bool v6 = access.endpoint.address.contains(':');
    config.emplace_back("http.curloptResolve",
                        fmt::format("{}:{}:{}", endpoint.host, endpoint.port,
                                    v6 ? "[" + access.endpoint.address + "]"
                                       : access.endpoint.address));
  }
  if (!access.password.empty()) {
    // Bound to one origin: git sends it nowhere else. Sent at once, it saves the 401 round trip.
    config.emplace_back(
        "http." + endpoint.origin() + "/.extraHeader",
        "Authorization: Basic " +
            base64_encode(access.username + ":" + access.password.reveal()));
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

/// In the order they are looked for: the first that occurs in git's words decides.
constexpr std::array<Symptom, 27> k_symptoms{{
    {"Authentication failed", ErrorKind::denied,
     "{} refused the credentials; the access token may have expired: reconnect the account"},
    {"could not read Username", ErrorKind::denied,
     "{} asks for credentials for this repository; connect an account that may read it"},
    {"terminal prompts disabled", ErrorKind::denied,
     "{} asks for credentials for this repository; connect an account that may read it"},
    {"returned error: 401", ErrorKind::denied,
     "{} refused the credentials; the access token may have expired: reconnect the account"},
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
    {"No space left on device", ErrorKind::unavailable, ""},
    {"SSL certificate problem", ErrorKind::invalid_input,
     "The TLS certificate of {} is not trusted; install a valid certificate there"},
    {"certificate", ErrorKind::invalid_input,
     "The TLS certificate of {} is not trusted; install a valid certificate there"},
    {"not valid: is this a git repository", ErrorKind::not_found,
     "There is no git repository at this address on {}; check the repository's name"},
    {"Could not resolve host", ErrorKind::unavailable, "{} cannot be found at the moment"},
    {"Failed to connect", ErrorKind::unavailable, "{} cannot be reached at the moment; deploy again later"},
    {"Connection refused", ErrorKind::unavailable, "{} cannot be reached at the moment; deploy again later"},
    {"returned error: 5", ErrorKind::unavailable, "{} has a problem at the moment; deploy again later"},
    {"returned error: 429", ErrorKind::unavailable, "{} limits requests at the moment; deploy again later"},
    {"Operation too slow", ErrorKind::timed_out, "{} is too slow at the moment; deploy again later"},
    {"early EOF", ErrorKind::unavailable, "The connection to {} broke; deploy again"},
    {"unexpected disconnect", ErrorKind::unavailable, "The connection to {} broke; deploy again"},
    {"RPC failed", ErrorKind::unavailable, "The connection to {} broke; deploy again"},
    {"unable to access", ErrorKind::unavailable, "{} cannot be reached at the moment; deploy again later"},
}};

}  // namespace

Error explain_git_failure(int exit_code, std::string_view standard_error, std::string_view host) {
  Error error{.kind = ErrorKind::internal,
              .message = fmt::format("git exited with {}: {}", exit_code,
                                     one_line(standard_error.substr(0, 1'000)))};
  for (const Symptom& symptom : k_symptoms) {
    if (standard_error.contains(symptom.text)) {
      error.kind = symptom.kind;
      std::string line(symptom.customer);
      if (const std::size_t mark = line.find("{}"); mark != std::string::npos) {
        line.replace(mark, 2, host.empty() ? std::string("The git host") : std::string(host.substr(0, 80)));
      }
      error.customer = std::move(line);
      break;
    }
  }
  return error;
}

Result<std::string> GitProcess::run(const ports::JobContext& job,
                                    const std::vector<std::string>& arguments,
                                    const Options& options) const {
  Command command;
  command.arguments = {"git"};
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  command.environment = environment(home_, options);
  command.directory = options.work_tree.empty() ? options.git_dir : options.work_tree;
  command.input = options.input;

  std::string out;
  std::string err;
  const auto started = std::chrono::steady_clock::now();
  const auto finished = run_process(
      command,
      [&](std::string_view chunk) { out += chunk.substr(0, k_largest_output - std::min(k_largest_output, out.size())); },
      [&](std::string_view chunk) { err += chunk.substr(0, k_kept_errors - std::min(k_kept_errors, err.size())); },
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
    return std::unexpected(explain_git_failure(finished->exit_code, err, host));
  }
  return out;
}

}  // namespace builder::adapters::git
