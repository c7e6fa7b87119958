#pragma once

#include "base/temp_dir.hpp"

#include <string>
#include <thread>
#include <vector>

namespace builder::test {

struct Request {
  std::string method;
  std::string path;
  std::string authorization;  ///< "-": none.
  std::size_t sent = 0;       ///< Bytes of the answer's body.
  std::string headers = {};   ///< Names in lower case, with commas between.
};

/// A git host on a port of its own (git_server.py), ended with the object.
class GitServer {
 public:
  static constexpr const char* k_user = "us er@x";
  static constexpr const char* k_password = "p@ss: w/rd%&";

  GitServer();
  ~GitServer();
  GitServer(const GitServer&) = delete;
  GitServer& operator=(const GitServer&) = delete;

  /// Runs a shell script in a folder of its own beside the repositories; `$R` is their folder. The
  /// trimmed output; throws when it fails.
  std::string shell(const std::string& script) const;
  /// `http://127.0.0.1:port/<mode>/<repository>.git`
  [[nodiscard]] std::string url(const std::string& mode, const std::string& repository) const;
  [[nodiscard]] std::string origin() const;

  [[nodiscard]] std::string port() const { return port_; }

  [[nodiscard]] const std::string& root() const { return folder_.path(); }

  /// Requests since the last call.
  std::vector<Request> requests();

 private:
  TempDir folder_;
  std::string port_;
  std::jthread process_;
  std::size_t seen_ = 0;
};

}  // namespace builder::test
