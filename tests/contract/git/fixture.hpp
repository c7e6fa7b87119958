#pragma once

#include "adapters/git/source_fetcher.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"

#include "git_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace builder::test {

class Lines final : public LogSink, public domain::EventSink {
 public:
  void write(LogLevel, std::string_view line) override {
    const std::scoped_lock lock(mutex_);
    log_ += std::string(line) + "\n";
  }

  [[nodiscard]] bool enabled(LogLevel) const override { return true; }

  void emit(domain::BuildEvent event) override {
    const std::scoped_lock lock(mutex_);
    if (const auto* message = std::get_if<domain::Message>(&event)) {
      events_ += message->text + "\n";
    }
  }

  [[nodiscard]] std::string log() const {
    const std::scoped_lock lock(mutex_);
    return log_;
  }

  [[nodiscard]] std::string events() const {
    const std::scoped_lock lock(mutex_);
    return events_;
  }

 private:
  mutable std::mutex mutex_;
  std::string log_;
  std::string events_;
};

/// One git host and one fetcher, both fresh.
class GitContract : public ::testing::Test {
 protected:
  GitContract() { fetcher_ = make_fetcher(adapters::git::NetworkPolicy::any); }

  [[nodiscard]] std::unique_ptr<ports::SourceFetcher> make_fetcher(
      adapters::git::NetworkPolicy policy, std::string_view allowed_hosts = "",
      std::uint64_t git_memory = 0) const {
    return *adapters::git::make_source_fetcher(
        {.work_dir = work_dir(),
         .builds_dir = work_dir() + "/builds",
         .policy = policy,
         .allowed_hosts = *adapters::git::AllowedHosts::parse(allowed_hosts),
         .largest_source = 4ULL << 30U,  // As MAX_SOURCE_SIZE is, unless it is set.
         .git_memory = git_memory});
  }

  [[nodiscard]] std::string work_dir() const { return folder_.path() + "/work"; }

  /// The git host by its name, for lists that know its name alone.
  [[nodiscard]] domain::SourceSpec named(domain::SourceSpec source) const {
    source.base = "http://localhost:" + server_.port() + "/private";
    source.url = "http://localhost:" + source.url.substr(source.url.find(server_.port()));
    return source;
  }

  /// With the right credentials.
  [[nodiscard]] domain::SourceSpec spec(const std::string& repository,
                                        const std::string& commit = "",
                                        const std::string& branch = "main",
                                        const std::string& mode = "private") const {
    domain::SourceSpec spec;
    spec.base = server_.origin() + "/" + mode;
    spec.url = server_.url(mode, repository);
    spec.username = GitServer::k_user;
    spec.password = Secret(GitServer::k_password);
    spec.branch = branch;
    spec.commit = commit;
    spec.service_id = domain::ServiceId("s0exampleexample0001");
    return spec;
  }

  Result<ports::FetchedSource> fetch(const domain::SourceSpec& source, ports::JobContext job = {}) {
    job.log = Log(lines_);
    return fetcher_->fetch(job, source, *lines_);
  }

  /// As often as a run does: while the failure may pass and the job has attempts left.
  Result<ports::FetchedSource> fetch_as_a_run(const domain::SourceSpec& source) {
    const ports::JobContext job;
    for (;;) {
      auto fetched = fetch(source, job);
      if (fetched || !fetched.error().is_transient() || !job.retries->take()) {
        return fetched;
      }
    }
  }

  /// Whether the server was asked since, and sent no object.
  [[nodiscard]] bool only_let_in() {
    const auto requests = server_.requests();
    return !requests.empty() && std::ranges::all_of(requests, [](const Request& request) {
      return request.sent < 1'000 && !request.path.contains("/info/lfs");
    });
  }

  /// The content of a file, or the error's words.
  static std::string read(const ports::FetchedSource& fetched, std::string_view path) {
    const auto content = ports::read_file(*fetched.tree, path, 1U << 20U);
    return content ? *content : "error: " + content.error().message;
  }

  /// What of the credentials can be found below the work folder, in whatever form: file names.
  [[nodiscard]] std::string secrets_in_files() const {
    const std::string pair = std::string(GitServer::k_user) + ":" + GitServer::k_password;
    std::string found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(work_dir())) {
      if (!entry.is_regular_file()) {
        continue;
      }
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      for (const std::string& secret :
           {std::string(GitServer::k_password), pair, base64_encode(pair),
            base64_encode(GitServer::k_password), std::string("p%40ss%3A%20w%2Frd%25%26")}) {
        found += text.contains(secret) ? entry.path().string() + "\n" : "";
      }
    }
    return found;
  }

  /// A repository with `file` = "one" on main. Its commit.
  std::string make_repository(const std::string& name) {
    return server_.shell("mkdir -p $R; git init -q -b main " + name + "; cd " + name +
                         "; echo one > file; git add -A; git commit -q -m 'First words'; "
                         "git clone -q --bare . $R/" +
                         name + ".git; git remote add o $R/" + name + ".git; git rev-parse HEAD");
  }

  /// Runs a script in the repository's work folder, commits everything, pushes all. The new commit.
  std::string commit(const std::string& name, const std::string& script) {
    return server_.shell(
        "cd " + name + "; " + script +
        "; git add -A; git commit -q --allow-empty -m 'Next words'; git push -q --all o; "
        "git rev-parse HEAD");
  }

  TempDir folder_ = *TempDir::make(::testing::TempDir(), "git-contract-");
  std::shared_ptr<Lines> lines_ = std::make_shared<Lines>();  // The log's sinks are shared.
  GitServer server_;
  std::unique_ptr<ports::SourceFetcher> fetcher_;
};

}  // namespace builder::test
