#include "adapters/git/large_files.hpp"

#include "base/ascii.hpp"
#include "base/check.hpp"
#include "base/fd.hpp"
#include "base/json.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"
#include "domain/customer_line.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <memory>
#include <mutex>
#include <sstream>
#include <thread>
#include <utility>

namespace builder::adapters::git {

namespace {

using domain::customer_line;
using nlohmann::json;

constexpr std::size_t k_batch = 100;
constexpr std::size_t k_parallel = 4;
constexpr int k_most_hops = 5;
constexpr const char* k_media_type = "application/vnd.git-lfs+json";
/// Of an address and the headers to ask there with. What storage services sign has some 4 KiB.
constexpr std::size_t k_longest_action = 16U << 10U;

std::string host_of(const std::string& url) {
  const auto endpoint = parse_endpoint(url);
  return endpoint ? endpoint->host.substr(0, 60) : "The LFS server";
}

/// What an answer that is no success means, for all objects or for one.
Error refusal(int status, const std::string& host, const std::string& what, std::string words) {
  words = printable_line(words);
  constexpr int k_too_many_requests = 429;
  constexpr int k_no_space = 507;
  constexpr int k_bandwidth = 509;
  Error error{.kind = ErrorKind::denied,
              .message = fmt::format("LFS, {}: {} answered {} {}", what, host, status, words)};
  if (status == k_too_many_requests ||
      (status >= 500 && status != k_no_space && status != k_bandwidth)) {
    error.kind = ErrorKind::unavailable;
  }
  if (words.empty()) {
    words = status == 404 || status == 410 ? "not found; push it with Git LFS"
            : error.kind == ErrorKind::unavailable
                ? fmt::format("it has a problem at the moment ({}); deploy again later", status)
                : fmt::format("it is refused ({}); check the account's rights", status);
  }
  error.customer = customer_line(fmt::format("Git LFS, {}: {} says: {}", what, host, words));
  return error;
}

/// The server's own words in a body that is JSON as the protocol has it.
std::string words_of(const http::Response& response) {
  const json body = parse_json(response.body);
  return body.is_object() ? text_of(body, "message") : std::string();
}

/// The SHA-256 of what comes in pieces.
class Digest {
 public:
  Digest() { BUILDER_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1); }

  void add(std::string_view data) {
    BUILDER_CHECK(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
  }

  std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned size = 0;
    BUILDER_CHECK(EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) == 1);
    return hex({reinterpret_cast<const char*>(bytes.data()), size});
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };

  std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

bool write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t count = ::write(fd, data.data(), data.size());
    if (count < 0) {
      return false;
    }
    data.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

/// Where a redirection leads; empty: nowhere.
std::string target_of(const http::Response& response, const std::string& url) {
  const std::string location(response.header("Location").value_or(""));
  const auto endpoint = parse_endpoint(url);
  return location.starts_with('/') && !location.starts_with("//") && endpoint
             ? endpoint->origin() + location
             : location;
}

bool same_origin(const std::string& a, const std::string& b) {
  const auto one = parse_endpoint(a);
  const auto other = parse_endpoint(b);
  return one && other && *one == *other;
}

/// A name with anything else in it could be read as another one.
bool is_plain_name(std::string_view lower) {
  return !lower.empty() && lower.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") ==
                               std::string_view::npos;
}

/// The headers to ask for an object with. What says how a request is framed, or whose it is, is for
/// no server to choose.
std::vector<http::Header> headers_of(const json& action) {
  static constexpr auto k_ours = std::to_array<std::string_view>(
      {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade",
       "expect", "keep-alive", "proxy-authorization", "proxy-connection"});
  std::vector<http::Header> headers;
  const auto named = action.find("header");
  if (named == action.end() || !named->is_object()) {
    return headers;
  }
  for (const auto& [name, value] : named->items()) {
    const std::string lower = lower_case(name);
    if (value.is_string() && is_plain_name(lower) &&
        std::ranges::find(k_ours, lower) == k_ours.end()) {
      headers.push_back({name, value.get<std::string>()});
    }
  }
  return headers;
}

std::size_t size_of(const std::string& url, const std::vector<http::Header>& headers) {
  std::size_t size = url.size();
  for (const http::Header& header : headers) {
    size += header.name.size() + header.value.size();
  }
  return size;
}

bool has_authorization(const std::vector<http::Header>& headers) {
  return std::ranges::any_of(headers, [](const http::Header& header) {
    return http::equal_ignoring_case(header.name, "Authorization");
  });
}

}  // namespace

struct LargeFiles::Download {
  std::string path;  ///< In the repository.
  LargeFile file;
  std::string url = {};
  std::vector<http::Header> headers = {};
};

std::optional<LargeFile> parse_pointer(std::string_view content) {
  constexpr std::string_view k_oid = "oid sha256:";
  constexpr std::string_view k_size = "size ";
  if (content.size() > k_longest_pointer || !content.starts_with("version ")) {
    return std::nullopt;
  }
  LargeFile file;
  bool sized = false;
  while (!content.empty()) {
    std::string_view line = content.substr(0, content.find('\n'));
    content.remove_prefix(std::min(line.size() + 1, content.size()));
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (line.starts_with(k_oid)) {
      file.oid = line.substr(k_oid.size());
    } else if (line.starts_with(k_size)) {
      line.remove_prefix(k_size.size());
      const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), file.size);
      sized = error == std::errc() && end == line.data() + line.size();
    }
  }
  return sized && file.oid.size() == 64 && is_hex(file.oid) ? std::optional(file) : std::nullopt;
}

LargeFileSettings parse_lfsconfig(std::string_view listed) {
  const auto patterns = [](const std::string& value) {
    std::vector<std::string> all;
    std::istringstream words(value);
    for (std::string word; std::getline(words, word, ',');) {
      if (word = printable_line(word); !word.empty()) {
        all.push_back(word);
      }
    }
    return all;
  };
  LargeFileSettings settings;
  while (!listed.empty()) {
    // key LF value NUL
    const std::string_view item = listed.substr(0, listed.find('\0'));
    listed.remove_prefix(std::min(item.size() + 1, listed.size()));
    const std::size_t line_end = std::min(item.find('\n'), item.size());
    const std::string_view key = item.substr(0, line_end);
    const std::string value(item.substr(std::min(line_end + 1, item.size())));
    if (key == "lfs.url" || (key == "remote.origin.lfsurl" && settings.url.empty())) {
      settings.url = value;
    } else if (key == "lfs.fetchinclude") {
      settings.included = patterns(value);
    } else if (key == "lfs.fetchexclude") {
      settings.excluded = patterns(value);
    }
  }
  return settings;
}

std::string LargeFiles::path_of(const LargeFile& file) const {
  // As git-lfs keeps them.
  return folder_ + "/objects/" + file.oid.substr(0, 2) + "/" + file.oid.substr(2, 2) + "/" +
         file.oid;
}

bool LargeFiles::has(const LargeFile& file) const {
  struct stat status{};
  return ::lstat(path_of(file).c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         static_cast<std::uint64_t>(status.st_size) == file.size;
}

Result<> LargeFiles::fetch(const ports::JobContext& job, const std::string& url,
                           const Access& access,
                           const std::map<std::string, LargeFile>& wanted) const {
  std::vector<Download> missing;
  for (const auto& [path, file] : wanted) {
    if (file.size > k_largest_download) {
      return std::unexpected(
          Error{.kind = ErrorKind::invalid_input,
                .message = "LFS file of " + std::to_string(file.size) + " bytes",
                .customer = "The large file '" + printable_line(path, 100) +
                            "' (Git LFS) is larger than 2 GiB, which is the limit"});
    }
    if (!has(file)) {
      missing.push_back({.path = path, .file = file});
    }
  }
  // Equal files are fetched once.
  std::ranges::sort(missing, {}, [](const Download& d) { return d.file.oid; });
  const auto repeated =
      std::ranges::unique(missing, {}, [](const Download& d) { return d.file.oid; });
  missing.erase(repeated.begin(), repeated.end());
  BUILDER_TRY(remove_tree(folder_ + "/tmp"));  // Of a run that was killed.
  BUILDER_TRY(make_directories(folder_ + "/tmp"));
  for (std::size_t at = 0; at < missing.size(); at += k_batch) {
    const auto first = missing.begin() + static_cast<std::ptrdiff_t>(at);
    const auto count = std::min(k_batch, missing.size() - at);
    const std::vector<Download> part(
        std::make_move_iterator(first),
        std::make_move_iterator(first + static_cast<std::ptrdiff_t>(count)));
    BUILDER_TRY_ASSIGN(const auto located, locate(job, url, access, part));
    BUILDER_TRY(download_all(job, located));
  }
  return {};
}

Result<std::vector<LargeFiles::Download>> LargeFiles::locate(
    const ports::JobContext& job, const std::string& url, const Access& access,
    const std::vector<Download>& wanted) const {
  json objects = json::array();
  for (const Download& download : wanted) {
    objects.push_back({{"oid", download.file.oid}, {"size", download.file.size}});
  }
  http::Request request;
  request.method = http::Method::post;
  request.url = url + "/objects/batch";
  request.headers = {{"Accept", k_media_type}, {"Content-Type", k_media_type}};
  if (!access.password.empty()) {
    request.headers.push_back({"Authorization", access.authorization()});
  }
  request.body =
      json{{"operation", "download"}, {"transfers", {"basic"}}, {"objects", objects}}.dump();
  const std::string host = host_of(url);
  BUILDER_TRY_ASSIGN(const http::Response response, send(job, std::move(request)));
  if (!response.ok()) {
    Error error = refusal(response.status, host, "large files", words_of(response));
    error.retry_after = response.retry_after();
    return std::unexpected(std::move(error));
  }
  const json body = parse_json(response.body);
  if (!body.is_object() || !body.contains("objects") || !body["objects"].is_array()) {
    return std::unexpected(Error{
        .kind = ErrorKind::denied,
        .message = "LFS: no batch answer of " + host,
        .customer = host + " does not answer as a Git LFS server; check that it offers Git LFS"});
  }
  std::vector<Download> located;
  for (Download download : wanted) {
    const auto entry = std::ranges::find_if(body["objects"], [&](const json& object) {
      return object.is_object() && text_of(object, "oid") == download.file.oid;
    });
    const std::string what = "'" + printable_line(download.path, 60) + "'";
    if (entry == body["objects"].end()) {
      return std::unexpected(refusal(404, host, what, ""));
    }
    if (const auto error = entry->find("error"); error != entry->end() && error->is_object()) {
      const auto code = error->find("code");
      return std::unexpected(
          refusal(code != error->end() && code->is_number_integer() ? code->get<int>() : 404, host,
                  what, text_of(*error, "message")));
    }
    const json action = part_of(part_of(*entry, "actions"), "download");
    download.url = action.is_object() ? text_of(action, "href") : "";
    if (download.url.empty()) {
      return std::unexpected(refusal(404, host, what, ""));
    }
    download.headers = headers_of(action);
    if (size_of(download.url, download.headers) > k_longest_action) {
      return std::unexpected(refusal(431, host, what, "longer headers than 16 KiB are needed"));
    }
    const bool authorized =
        entry->value("authenticated", json()) == json(true) || has_authorization(download.headers);
    if (!authorized && !access.password.empty() && same_origin(download.url, url)) {
      download.headers.push_back({"Authorization", access.authorization()});
    }
    located.push_back(std::move(download));
  }
  return located;
}

Result<> LargeFiles::download_all(const ports::JobContext& job,
                                  const std::vector<Download>& downloads) const {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  Result<> outcome;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(k_parallel, downloads.size()); ++i) {
      threads.emplace_back([&] {
        for (std::size_t at = next++; at < downloads.size(); at = next++) {
          if (auto done = download(job, downloads[at]); !done) {
            const std::scoped_lock lock(mutex);
            outcome = std::move(done);
            next = downloads.size();
          }
        }
      });
    }
  }
  return outcome;
}

Result<> LargeFiles::download(const ports::JobContext& job, const Download& wanted) const {
  const std::string target = path_of(wanted.file);
  const std::string temporary = folder_ + "/tmp/" + wanted.file.oid;
  BUILDER_TRY(make_directories(target.substr(0, target.rfind('/'))));
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) {
    return errno_failure("open " + temporary);
  }
  Digest digest;
  std::uint64_t received = 0;
  bool no_space = false;
  http::Request request;
  request.url = wanted.url;
  request.headers = wanted.headers;
  request.on_body = [&](std::string_view chunk) {
    received += chunk.size();
    digest.add(chunk);
    no_space = received <= wanted.file.size && !write_all(fd.get(), chunk);
    return received <= wanted.file.size && !no_space;
  };
  const std::string what = "'" + printable_line(wanted.path, 60) + "'";
  const std::string host = host_of(wanted.url);
  auto response = send(job, std::move(request));
  if (no_space) {
    return std::unexpected(Error{.kind = ErrorKind::unavailable,
                                 .message = "cannot write " + temporary,
                                 .customer = "The builder has no disk space left for this "
                                             "repository's large files; deploy again later"});
  }
  if (!response && response.error().kind != ErrorKind::internal) {
    return std::unexpected(std::move(response).error());
  }
  if (response && !response->ok()) {
    Error error = refusal(response->status, host, what, words_of(*response));
    error.retry_after = response->retry_after();
    return std::unexpected(std::move(error));
  }
  if (!response || received != wanted.file.size || digest.finish() != wanted.file.oid) {
    return std::unexpected(
        Error{.kind = ErrorKind::unavailable,
              .message = fmt::format("LFS: {} gave another content for {}", host, wanted.file.oid),
              .customer = customer_line("Git LFS, " + what + ": " + host +
                                        " gave another content than the repository names")});
  }
  if (::rename(temporary.c_str(), target.c_str()) != 0) {
    return errno_failure("keep " + target);
  }
  return {};
}

Result<http::Response> LargeFiles::send(const ports::JobContext& job, http::Request request) const {
  request.connect_timeout = request.timeout = std::chrono::milliseconds(0);
  for (int hop = 0;; ++hop) {
    auto reached = reach_(request.url);
    if (!reached) {
      return std::unexpected(std::move(reached).error());
    }
    request.pinned = reached->pinned();
    auto response = http_.send(request, job.stop, job.deadline);
    if (!response) {
      Error error = std::move(response).error();
      if (error.is_transient()) {
        error.customer = "Git LFS: the connection to " + reached->endpoint.host.substr(0, 60) +
                         " broke; deploy again";
      }
      return std::unexpected(std::move(error));
    }
    const bool moved = response->status == 301 || response->status == 302 ||
                       response->status == 303 || response->status == 307 ||
                       response->status == 308;
    const std::string target = moved ? target_of(*response, request.url) : std::string();
    if (!moved || target.empty() || hop == k_most_hops) {
      return response;
    }
    if (!same_origin(target, request.url)) {
      // Whatever else there is may let its holder in, under any name.
      std::erase_if(request.headers, [](const http::Header& header) {
        return !http::equal_ignoring_case(header.name, "Accept") &&
               !http::equal_ignoring_case(header.name, "Content-Type");
      });
    }
    request.url = target;
  }
}

}  // namespace builder::adapters::git
