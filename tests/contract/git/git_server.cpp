#include "git_server.hpp"

#include "base/subprocess.hpp"
#include "base/text.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <sstream>
#include <stdexcept>

namespace builder::test {

namespace {

std::vector<std::string> environment(const std::string& root) {
  return {std::string("PATH=") + std::getenv("PATH"),
          "HOME=" + root,
          "R=" + root + "/repositories",
          "GIT_CONFIG_GLOBAL=/dev/null",
          "GIT_CONFIG_NOSYSTEM=1",
          "GIT_AUTHOR_NAME=A",
          "GIT_AUTHOR_EMAIL=a@example.test",
          "GIT_COMMITTER_NAME=A",
          "GIT_COMMITTER_EMAIL=a@example.test",
          "GIT_ALLOW_PROTOCOL=file",
          "PYTHONDONTWRITEBYTECODE=1"};
}

}  // namespace

GitServer::GitServer() : folder_(*TempDir::make(::testing::TempDir(), "git-server-")) {
  for (const char* name : {"/repositories", "/work", "/lfs"}) {
    EXPECT_TRUE(make_directories(root() + name));
  }
  std::promise<std::string> port;
  auto ready = port.get_future();
  process_ = std::jthread([this, promise = std::move(port)](const std::stop_token& stop) mutable {
    bool told = false;
    const auto ended = run_process(
        {.arguments = {"python3", GIT_SERVER_SCRIPT, root(), k_user, k_password},
         .environment = environment(root()),
         .directory = {},
         .input = {}},
        [&](std::string_view chunk) {
          if (!std::exchange(told, true)) {
            promise.set_value(printable_line(chunk));
          }
        },
        [](std::string_view chunk) { std::fwrite(chunk.data(), 1, chunk.size(), stderr); }, stop,
        SteadyTime::max());
    if (!told) {
      promise.set_exception(std::make_exception_ptr(std::runtime_error("the git server ended")));
    }
  });
  port_ = ready.get();
}

GitServer::~GitServer() = default;

std::string GitServer::shell(const std::string& script) const {
  std::string out;
  std::string err;
  const auto finished = run_process(
      {.arguments = {"sh", "-ec", script},
       .environment = environment(root()),
       .directory = root() + "/work",
       .input = {}},
      [&](std::string_view chunk) { out += chunk; }, [&](std::string_view chunk) { err += chunk; },
      {}, SteadyTime::max());
  if (!finished || finished->exit_code != 0) {
    throw std::runtime_error("script failed: " + script + "\n" + err);
  }
  return out.substr(0, out.find_last_not_of('\n') + 1);
}

std::string GitServer::origin() const {
  return "http://127.0.0.1:" + port_;
}

std::string GitServer::url(const std::string& mode, const std::string& repository) const {
  return origin() + "/" + mode + "/" + repository + ".git";
}

std::vector<Request> GitServer::requests() {
  std::ifstream file(root() + "/requests");
  std::vector<Request> fresh;
  std::string line;
  for (std::size_t number = 0; std::getline(file, line); ++number) {
    if (number < seen_) {
      continue;
    }
    std::istringstream words(line);
    Request request;
    words >> request.method >> request.path >> request.authorization >> request.sent >>
        request.headers;
    fresh.push_back(request);
  }
  seen_ += fresh.size();
  return fresh;
}

}  // namespace builder::test
