#pragma once

#include "adapters/git/git_process.hpp"
#include "adapters/http/client.hpp"
#include "base/result.hpp"
#include "ports/job_context.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::git {

/// What the repository holds in place of a file that Git LFS keeps.
struct LargeFile {
  std::string oid;  ///< SHA-256 of the content, in hex.
  std::uint64_t size = 0;
};

/// Longer files are no pointers.
constexpr std::uint64_t k_longest_pointer = 1'024;

std::optional<LargeFile> parse_pointer(std::string_view content);

/// What .lfsconfig may say, and a clone obeys.
struct LargeFileSettings {
  std::string url;
  std::vector<std::string> included;  ///< Patterns; empty: all files.
  std::vector<std::string> excluded;
};

/// By what `git config --list --null` says of such a file.
LargeFileSettings parse_lfsconfig(std::string_view listed);

/// Brings the contents of large files into a folder of the mirror, as Git LFS's clients do with
/// basic transfers. It asks through our own HTTP client: only addresses that were checked, with
/// credentials that no other program gets to see.
///
/// Source of the protocol: git-lfs, docs/api/batch.md and docs/api/basic-transfers.md.
class LargeFiles {
 public:
  /// Whether a URL may be asked, and at which addresses.
  using Reach = std::function<Result<CheckedEndpoint>(const std::string& url)>;

  LargeFiles(http::Client& http, std::string folder, Reach reach)
      : http_(http), folder_(std::move(folder)), reach_(std::move(reach)) {}

  /// Fetches what is not here yet from the LFS server at `url`; `wanted` is by path. `access` is
  /// shown to its own origin only. Errors carry the server's words for the customer.
  Result<> fetch(const ports::JobContext& job, const std::string& url, const Access& access,
                 const std::map<std::string, LargeFile>& wanted) const;

  [[nodiscard]] std::string path_of(const LargeFile& file) const;

 private:
  struct Download;

  [[nodiscard]] bool has(const LargeFile& file) const;
  /// Asks where up to a hundred objects are.
  Result<std::vector<Download>> locate(const ports::JobContext& job, const std::string& url,
                                       const Access& access,
                                       const std::vector<Download>& wanted) const;
  Result<> download_all(const ports::JobContext& job, const std::vector<Download>& downloads) const;
  Result<> download(const ports::JobContext& job, const Download& wanted) const;
  /// One exchange, and those that the server sends us on to.
  Result<http::Response> send(const ports::JobContext& job, http::Request request) const;

  http::Client& http_;
  std::string folder_;
  Reach reach_;
};

}  // namespace builder::adapters::git
