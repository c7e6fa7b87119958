#include "adapters/git/source_fetcher.hpp"

#include <algorithm>
#include <future>
#include <map>
#include <optional>
#include <utility>

#include "adapters/git/mirror.hpp"
#include "base/backoff.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"

namespace builder::adapters::git {

namespace {

using domain::EventSink;
using domain::SourceSpec;
using ports::FetchedSource;
using ports::JobContext;

constexpr std::chrono::minutes k_fetch_limit{5};
constexpr int k_attempts = 3;
constexpr BackoffPolicy k_backoff{.base = std::chrono::milliseconds(1'000),
                                  .cap = std::chrono::milliseconds(10'000)};
constexpr int k_deepest_submodule = 5;
constexpr std::size_t k_most_files = 500'000;
constexpr std::size_t k_longest_subject = 72;

/// Nanoseconds that stand for a file's content and mode, and for the attributes that may change what a
/// checkout makes of the content.
std::uint32_t identity(const TreeEntry& entry, const std::string& attributes) {
  const std::string digest = sha256_hex(entry.object + entry.mode + attributes);
  return static_cast<std::uint32_t>(std::stoull(digest.substr(0, 12), nullptr, 16) %
                                    1'000'000'000);
}

bool is_attributes(const std::string& path) {
  return path == ".gitattributes" || path.ends_with("/.gitattributes");
}

std::string shown_name(const std::string& url) {
  const std::size_t slash = url.rfind('/', url.rfind('/') - 1);
  std::string name = url.substr(slash + 1);
  return name.ends_with(".git") ? name.substr(0, name.size() - 4) : name;
}

class GitSourceFetcher final : public ports::SourceFetcher {
 public:
  GitSourceFetcher(GitConfig config, Log log)
      : config_(std::move(config)), log_(log), git_(config_.work_dir + "/home", std::move(log)) {}

  Result<> prepare() const {
    // Nobody is building yet: whatever is here was left by a run that was killed.
    BUILDER_TRY(remove_tree(config_.work_dir + "/builds"));
    for (const char* name : {"/builds", "/mirrors", "/home"}) {
      BUILDER_TRY(make_directories(config_.work_dir + name));
    }
    return {};
  }

  Result<FetchedSource> fetch(const JobContext& outer, const SourceSpec& source,
                              EventSink& events) override {
    const JobContext job = outer.within(k_fetch_limit);
    events.info("Cloning " + shown_name(source.url) +
                (source.commit.empty() ? " (branch " + source.branch + ")"
                                       : " (commit " + source.commit.substr(0, 12) + ")"));
    auto random = make_random();
    for (int attempt = 1;; ++attempt) {
      auto fetched = attempt_fetch(job, source, events);
      if (fetched || !fetched.error().is_transient() || attempt == k_attempts ||
          job.stop.stop_requested() || std::chrono::steady_clock::now() > job.deadline) {
        return fetched;
      }
      log_.warning("fetch failed, trying again: {}", fetched.error().message);
      events.warning("The git host did not answer properly; trying again");
      if (!sleep_for(next_delay(k_backoff, attempt - 1, std::nullopt, random), job.stop)) {
        return failure(ErrorKind::cancelled, "stopped");
      }
    }
  }

 private:
  /// Everything one checkout adds to: the root repository and its submodules share one.
  struct Checkout {
    const JobContext& job;
    const SourceSpec& source;
    EventSink& events;
    Endpoint credentials_for;  ///< Submodules elsewhere are fetched without credentials.
    std::string root;
    std::string scratch;  ///< For index files; not part of the tree.
    Identities identities;
    int repositories = 0;
  };

  Result<FetchedSource> attempt_fetch(const JobContext& job, const SourceSpec& source,
                                      EventSink& events) {
    BUILDER_TRY_ASSIGN(TempDir folder, TempDir::make(config_.work_dir + "/builds", "b-"));
    BUILDER_TRY_ASSIGN(const Endpoint endpoint, parse_endpoint(source.url));
    Checkout checkout{.job = job,
                      .source = source,
                      .events = events,
                      .credentials_for = endpoint,
                      .root = folder.path() + "/tree",
                      .scratch = folder.path(),
                      .identities = {}};
    BUILDER_TRY(make_directories(checkout.root));
    BUILDER_TRY_ASSIGN(const auto commit, check_out(checkout, source.url, source.branch,
                                                    source.commit, "", 0));
    std::string subject = cut_characters(commit.subject, k_longest_subject);
    events.info("Checked out " + commit.sha.substr(0, 12) + " " + subject);
    const std::string root = checkout.root;
    BUILDER_TRY_ASSIGN(auto tree, make_disk_tree(std::move(folder), root,
                                                 std::move(checkout.identities)));
    return FetchedSource{.commit = domain::CommitSha(commit.sha),
                         .subject = std::move(subject),
                         .tree = std::move(tree)};
  }

  struct CheckedOut {
    std::string sha;
    std::string subject;
  };

  /// `prefix` is the path of a submodule with a trailing '/', or empty.
  Result<CheckedOut> check_out(Checkout& checkout, const std::string& url,
                               const std::string& branch, const std::string& commit,
                               const std::string& prefix, int depth) {
    BUILDER_TRY_ASSIGN(const Access access, access_to(checkout, url));
    const std::string mirror_folder =
        config_.work_dir + "/mirrors/" +
        sha256_hex(checkout.source.service_id.str() + "\n" + url).substr(0, 32);
    auto checked_out = with_mirror(checkout, mirror_folder, url, branch, commit, access, prefix, depth);
    if (checked_out || checked_out.error().kind != ErrorKind::internal) {
      return checked_out;
    }
    // git complains about something we have no name for: most likely the mirror is damaged.
    log_.warning("mirror {} is made anew: {}", mirror_folder, checked_out.error().message);
    BUILDER_TRY(remove_tree(mirror_folder));
    BUILDER_TRY(remove_tree(checkout.root + "/" + prefix));
    BUILDER_TRY(make_directories(checkout.root + "/" + prefix));
    return with_mirror(checkout, mirror_folder, url, branch, commit, access, prefix, depth);
  }

  Result<CheckedOut> with_mirror(Checkout& checkout, const std::string& mirror_folder,
                                 const std::string& url, const std::string& branch,
                                 const std::string& commit, const Access& access,
                                 const std::string& prefix, int depth) {
    const JobContext& job = checkout.job;
    BUILDER_TRY_ASSIGN(const Mirror mirror, Mirror::open(mirror_folder, git_, job));
    CheckedOut result;
    BUILDER_TRY_ASSIGN(result.sha, mirror.ensure(job, url, branch, commit, access));

    // Two short processes beside the checkout.
    auto subject = std::async(std::launch::async, [&] { return mirror.subject(job, result.sha); });
    auto listed = std::async(std::launch::async, [&] { return mirror.list(job, result.sha); });
    const std::string folder = checkout.root + "/" + prefix;
    const std::string index =
        checkout.scratch + "/index-" + std::to_string(checkout.repositories++);
    const auto plain = mirror.check_out(job, result.sha, folder, index, {});
    const auto entries = listed.get();
    const auto title = subject.get();
    BUILDER_TRY(plain);
    BUILDER_TRY(entries);
    BUILDER_TRY(title);
    result.subject = *title;
    if (entries->size() > k_most_files) {
      return std::unexpected(Error{.kind = ErrorKind::invalid_input,
                                   .message = "too many files",
                                   .customer = "The repository has more than 500,000 files"});
    }

    BUILDER_TRY_ASSIGN(const std::string attributes, attributes_of(mirror, job, *entries));
    if (attributes.contains("filter=lfs")) {
      BUILDER_TRY(fetch_lfs(checkout, mirror, url, result.sha, access, folder, index));
    }
    const std::string attributes_identity = attributes.empty() ? "" : sha256_hex(attributes);
    bool submodules = false;
    for (const TreeEntry& entry : *entries) {
      if (entry.mode == "160000") {
        submodules = true;
      } else {
        checkout.identities[prefix + entry.path] = identity(entry, attributes_identity);
      }
    }
    if (submodules) {
      BUILDER_TRY(check_out_submodules(checkout, mirror, url, *entries, prefix, depth));
    }
    return result;
  }

  Result<Access> access_to(const Checkout& checkout, const std::string& url) const {
    BUILDER_TRY_ASSIGN(const Endpoint endpoint, parse_endpoint(url));
    Access access;
    BUILDER_TRY_ASSIGN(access.endpoint, check_endpoint(endpoint, config_.policy));
    if (endpoint == checkout.credentials_for) {
      access.username = checkout.source.username;
      access.password = checkout.source.password;
    }
    if (access.endpoint.plain_http && config_.policy != NetworkPolicy::any) {
      checkout.events.warning("The repository is fetched over http: its content and credentials can "
                              "be read on the way; use https");
      log_.warning("{} is fetched over plain http", endpoint.origin());
    }
    return access;
  }

  static Result<std::string> attributes_of(const Mirror& mirror, const JobContext& job,
                                           const std::vector<TreeEntry>& entries) {
    std::string all;
    for (const TreeEntry& entry : entries) {
      if (is_attributes(entry.path) && entry.mode.starts_with("100")) {
        BUILDER_TRY_ASSIGN(const std::string content, mirror.blob(job, entry.object));
        all += entry.path + "\n" + content + "\n";
      }
    }
    return all;
  }

  /// Checks out again with the LFS filter, now that the repository turned out to use it.
  Result<> fetch_lfs(const Checkout& checkout, const Mirror& mirror, const std::string& url,
                     const std::string& commit, const Access& access, const std::string& folder,
                     const std::string& index) const {
    checkout.events.info("Fetching large files (Git LFS)");
    GitProcess::Options options;
    options.access = &access;
    options.config = {{"filter.lfs.process", "git-lfs filter-process"},
                      {"filter.lfs.smudge", "git-lfs smudge -- %f"},
                      {"filter.lfs.required", "true"},
                      {"remote.origin.url", url},
                      {"lfs.url", url + "/info/lfs"},
                      {"lfs.basictransfersonly", "true"},
                      {"lfs.storage", mirror.folder() + "/lfs"}};
    BUILDER_TRY(remove_tree(folder));
    BUILDER_TRY(make_directories(folder));
    const auto checked_out = mirror.check_out(checkout.job, commit, folder, index + "-lfs", options);
    if (!checked_out && checked_out.error().kind != ErrorKind::cancelled &&
        checked_out.error().kind != ErrorKind::timed_out) {
      Error error = checked_out.error();
      error.kind = error.is_transient() ? error.kind : ErrorKind::denied;
      return std::unexpected(std::move(error).for_customer(
          "The repository's large files (Git LFS) could not be fetched; check that the account may "
          "read them and that they were pushed"));
    }
    return checked_out;
  }

  Result<> check_out_submodules(Checkout& checkout, const Mirror& mirror, const std::string& url,
                                const std::vector<TreeEntry>& entries, const std::string& prefix,
                                int depth) {
    std::map<std::string, std::string> urls;
    for (const TreeEntry& entry : entries) {
      if (entry.path == ".gitmodules" && entry.mode.starts_with("100")) {
        BUILDER_TRY_ASSIGN(urls, submodule_urls(checkout.job, mirror, entry.object));
      }
    }
    for (const TreeEntry& entry : entries) {
      if (entry.mode != "160000") {
        continue;
      }
      const std::string shown = one_line(prefix + entry.path).substr(0, 60);
      const auto bad = [&](std::string_view why) {
        return std::unexpected(
            Error{.kind = ErrorKind::invalid_input,
                  .message = "submodule " + shown + ": " + std::string(why),
                  .customer = "Submodule '" + shown + "' cannot be fetched: " + std::string(why)});
      };
      const auto found = urls.find(entry.path);
      if (found == urls.end()) {
        return bad("it has no URL in .gitmodules");
      }
      const std::string target = resolve_submodule_url(url, found->second);
      if (target.empty()) {
        return bad("its URL must be relative or begin with https://");
      }
      if (depth >= k_deepest_submodule) {
        return bad("submodules are nested too deeply");
      }
      checkout.events.info("Fetching submodule " + shown);
      auto done = check_out(checkout, target, "main", entry.object, prefix + entry.path + "/",
                            depth + 1);
      if (!done) {
        Error error = std::move(done).error();
        if (error.kind != ErrorKind::cancelled) {
          error.customer = cut_characters("Submodule '" + shown + "': " + error.customer, 191);
        }
        return std::unexpected(std::move(error).with_context("submodule " + shown));
      }
    }
    return {};
  }

  /// Path -> URL of `.gitmodules`.
  Result<std::map<std::string, std::string>> submodule_urls(const JobContext& job,
                                                            const Mirror& mirror,
                                                            const std::string& blob) const {
    GitProcess::Options options;
    options.git_dir = mirror.folder();
    auto listed = git_.run(job, {"config", "--blob", blob, "--null", "--list"}, options);
    if (!listed) {
      return std::unexpected(std::move(listed).error().for_customer(
          "The repository's .gitmodules file cannot be read; correct or remove it"));
    }
    std::map<std::string, std::pair<std::string, std::string>> modules;  // name -> path, url
    std::string_view rest = *listed;
    while (!rest.empty()) {
      const std::string_view item = rest.substr(0, rest.find('\0'));
      rest.remove_prefix(std::min(item.size() + 1, rest.size()));
      const std::size_t line_end = item.find('\n');
      const std::string_view key = item.substr(0, line_end);
      const std::string value(line_end == std::string_view::npos ? "" : item.substr(line_end + 1));
      if (!key.starts_with("submodule.")) {
        continue;
      }
      const std::string name(key.substr(0, key.rfind('.')));
      if (key.ends_with(".path")) {
        modules[name].first = value;
      } else if (key.ends_with(".url")) {
        modules[name].second = value;
      }
    }
    std::map<std::string, std::string> urls;
    for (auto& [name, module] : modules) {
      urls[module.first] = module.second;
    }
    return urls;
  }

  const GitConfig config_;
  const Log log_;
  const GitProcess git_;
};

}  // namespace

std::string resolve_submodule_url(std::string_view repository_url, std::string_view url) {
  const auto clean = [](std::string_view text) {
    return std::ranges::none_of(text, [](unsigned char c) { return c <= 0x20 || c == 0x7F; });
  };
  if (!clean(url)) {
    return {};
  }
  if (!url.starts_with("./") && !url.starts_with("../")) {
    const auto endpoint = parse_endpoint(url);
    return endpoint ? std::string(url) : std::string();
  }
  std::string base(repository_url);
  const std::size_t authority_end = base.find('/', base.find("://") + 3);
  while (true) {
    if (url.starts_with("../")) {
      const std::size_t slash = base.rfind('/');
      if (slash == std::string::npos || slash <= authority_end) {
        return {};
      }
      base.resize(slash);
      url.remove_prefix(3);
    } else if (url.starts_with("./")) {
      url.remove_prefix(2);
    } else {
      break;
    }
  }
  return url.empty() || url.contains("/../") ? std::string() : base + "/" + std::string(url);
}

Result<std::unique_ptr<ports::SourceFetcher>> make_source_fetcher(GitConfig config, Log log) {
  auto fetcher = std::make_unique<GitSourceFetcher>(std::move(config), std::move(log));
  BUILDER_TRY(fetcher->prepare());
  return fetcher;
}

}  // namespace builder::adapters::git
