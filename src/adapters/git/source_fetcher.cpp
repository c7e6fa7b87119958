#include "adapters/git/source_fetcher.hpp"

#include "adapters/git/mirror.hpp"
#include "adapters/git/resolver.hpp"
#include "adapters/git/submodules.hpp"
#include "base/backoff.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <future>
#include <map>
#include <optional>
#include <utility>

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

constexpr int k_most_repositories = 200;
constexpr std::size_t k_most_attribute_files = 1'000;  // Their ids are the input of one process.

/// Nanoseconds that stand for a file's content and mode, and for the attributes that may change
/// what a checkout makes of the content.
std::uint32_t identity(const TreeEntry& entry, const std::string& attributes) {
  const std::string digest = sha256_hex(entry.object + entry.mode + attributes);
  return static_cast<std::uint32_t>(std::stoull(digest.substr(0, 12), nullptr, 16) % 1'000'000'000);
}

bool is_attributes(const std::string& path) {
  return path == ".gitattributes" || path.ends_with("/.gitattributes");
}

/// What a stranger's text may look like in a line: commit messages and paths are just bytes to git.
std::string printable(std::string text) {
  if (!is_utf8(text)) {
    std::ranges::replace_if(text, [](unsigned char c) { return c >= 0x80; }, '?');
  }
  return one_line(text);
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
      if (!fetched && fetched.error().kind == ErrorKind::timed_out &&
          fetched.error().customer.empty()) {
        fetched.error().customer = "Fetching the source took too long; it may take 5 minutes";
      }
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
    BUILDER_TRY_ASSIGN(const auto commit,
                       check_out(checkout, source.url, source.branch, source.commit, "", 0));
    std::string subject = cut_characters(printable(commit.subject), k_longest_subject);
    events.info("Checked out " + commit.sha.substr(0, 12) + " " + subject);
    const std::string root = checkout.root;
    BUILDER_TRY_ASSIGN(auto tree,
                       make_disk_tree(std::move(folder), root, std::move(checkout.identities)));
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
    auto files = write_files(checkout, {mirror_folder, false}, url, branch, commit, access, prefix);
    if (!files && files.error().kind == ErrorKind::internal) {
      // git complains about something we have no name for: most likely the mirror is damaged.
      log_.warning("mirror {} is made anew: {}", mirror_folder, files.error().message);
      BUILDER_TRY(remove_tree(checkout.root + "/" + prefix));
      BUILDER_TRY(make_directories(checkout.root + "/" + prefix));
      files = write_files(checkout, {mirror_folder, true}, url, branch, commit, access, prefix);
      if (!files && files.error().kind == ErrorKind::internal && files.error().customer.empty()) {
        files.error().kind = ErrorKind::invalid_input;
        files.error().customer =
            "git cannot check out this repository; it may be damaged or hold "
            "paths that are not allowed";
      }
    }
    BUILDER_TRY(files);
    // The mirror is unlocked by now: a submodule may have the same URL.
    if (!files->submodules.empty()) {
      BUILDER_TRY(check_out_submodules(checkout, url, *files, prefix, depth));
    }
    return std::move(files->commit);
  }

  struct MirrorChoice {
    std::string folder;
    bool anew;
  };

  struct Files {
    CheckedOut commit;
    std::vector<TreeEntry> submodules;
    std::map<std::string, std::string> submodule_urls;  ///< By path.
  };

  /// One repository's own files, submodules left empty.
  Result<Files> write_files(Checkout& checkout, const MirrorChoice& choice, const std::string& url,
                            const std::string& branch, const std::string& commit,
                            const Access& access, const std::string& prefix) {
    const JobContext& job = checkout.job;
    BUILDER_TRY_ASSIGN(const Mirror mirror, Mirror::open(choice.folder, git_, job, choice.anew));
    Files files;
    BUILDER_TRY_ASSIGN(files.commit.sha, mirror.ensure(job, url, branch, commit, access));
    const std::string& sha = files.commit.sha;

    // Two short processes beside the checkout.
    auto subject = std::async(std::launch::async, [&] { return mirror.subject(job, sha); });
    auto listed = std::async(std::launch::async, [&] { return mirror.list(job, sha); });
    const std::string folder = checkout.root + "/" + prefix;
    const std::string index =
        checkout.scratch + "/index-" + std::to_string(checkout.repositories++);
    const auto plain = mirror.check_out(job, sha, folder, index, {});
    const auto entries = listed.get();
    auto title = subject.get();
    BUILDER_TRY(plain);
    BUILDER_TRY(entries);
    BUILDER_TRY(title);
    mirror.remember(sha);
    files.commit.subject = *std::move(title);
    if (entries->size() > k_most_files) {
      return std::unexpected(Error{.kind = ErrorKind::invalid_input,
                                   .message = "too many files",
                                   .customer = "The repository has more than 500,000 files"});
    }

    std::vector<std::string> attribute_files;
    for (const TreeEntry& entry : *entries) {
      if (is_attributes(entry.path) && entry.mode.starts_with("100") &&
          attribute_files.size() < k_most_attribute_files) {
        attribute_files.push_back(entry.object);
      }
    }
    std::string attributes;
    if (!attribute_files.empty()) {
      BUILDER_TRY_ASSIGN(attributes, mirror.blobs(job, attribute_files));
      if (attributes.contains("filter=lfs")) {
        BUILDER_TRY(fetch_lfs(checkout, mirror, url, sha, access, folder, index));
      }
      attributes = sha256_hex(attributes);
    }
    for (const TreeEntry& entry : *entries) {
      if (entry.mode == "160000") {
        files.submodules.push_back(entry);
        continue;
      }
      checkout.identities[prefix + entry.path] = identity(entry, attributes);
    }
    for (const TreeEntry& entry : *entries) {
      if (!files.submodules.empty() && entry.path == ".gitmodules" &&
          entry.mode.starts_with("100")) {
        auto modules = mirror.config_of(job, entry.object);
        if (!modules) {
          return std::unexpected(std::move(modules).error().for_customer(
              "The repository's .gitmodules file cannot be read; correct or remove it"));
        }
        files.submodule_urls = parse_submodule_urls(*modules);
      }
    }
    return files;
  }

  Result<Access> access_to(const Checkout& checkout, const std::string& url) {
    BUILDER_TRY_ASSIGN(const Endpoint endpoint, parse_endpoint(url));
    BUILDER_TRY_ASSIGN(const auto addresses, resolver_.lookup(endpoint.host, checkout.job));
    Access access;
    BUILDER_TRY_ASSIGN(access.endpoint, check_addresses(endpoint, addresses, config_.policy));
    if (endpoint == checkout.credentials_for) {
      access.username = checkout.source.username;
      access.password = checkout.source.password;
    }
    if (access.endpoint.plain_http && config_.policy != NetworkPolicy::any) {
      checkout.events.warning(
          "The repository is fetched over http: its content and credentials can "
          "be read on the way; use https");
      log_.warning("{} is fetched over plain http", endpoint.origin());
    }
    return access;
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
                      // Its own default is eight, with waits that add up to a minute.
                      {"lfs.transfer.maxretries", "2"},
                      {"lfs.storage", mirror.folder() + "/lfs"}};
    BUILDER_TRY(remove_tree(folder));
    BUILDER_TRY(make_directories(folder));
    const auto checked_out =
        mirror.check_out(checkout.job, commit, folder, index + "-lfs", options);
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

  Result<> check_out_submodules(Checkout& checkout, const std::string& url, const Files& files,
                                const std::string& prefix, int depth) {
    for (const TreeEntry& entry : files.submodules) {
      const std::string shown = printable(prefix + entry.path).substr(0, 60);
      const auto bad = [&](std::string_view why) {
        return std::unexpected(
            Error{.kind = ErrorKind::invalid_input,
                  .message = "submodule " + shown + ": " + std::string(why),
                  .customer = "Submodule '" + shown + "' cannot be fetched: " + std::string(why)});
      };
      const auto found = files.submodule_urls.find(entry.path);
      if (found == files.submodule_urls.end()) {
        return bad("it has no URL in .gitmodules");
      }
      const std::string target = resolve_submodule_url(url, found->second);
      if (target.empty()) {
        return bad("its URL must be relative or begin with https://");
      }
      if (depth >= k_deepest_submodule) {
        return bad("submodules are nested too deeply");
      }
      if (checkout.repositories >= k_most_repositories) {
        return bad("there are too many submodules");
      }
      if (!is_plain_folder(checkout.root, prefix + entry.path)) {
        return bad("its path is not a folder of its own");
      }
      checkout.events.info("Fetching submodule " + shown);
      auto done =
          check_out(checkout, target, "main", entry.object, prefix + entry.path + "/", depth + 1);
      if (!done) {
        Error error = std::move(done).error();
        if (error.kind != ErrorKind::cancelled) {
          const std::string why = error.customer.empty()
                                      ? "it cannot be fetched; check its URL and commit"
                                      : error.customer;
          error.customer = cut_characters("Submodule '" + shown + "': " + why, 191);
        }
        return std::unexpected(std::move(error).with_context("submodule " + shown));
      }
    }
    return {};
  }

  const GitConfig config_;
  const Log log_;
  const GitProcess git_;
  Resolver resolver_;
};

}  // namespace

Result<std::unique_ptr<ports::SourceFetcher>> make_source_fetcher(GitConfig config, Log log) {
  auto fetcher = std::make_unique<GitSourceFetcher>(std::move(config), std::move(log));
  BUILDER_TRY(fetcher->prepare());
  return fetcher;
}

}  // namespace builder::adapters::git
