#include "adapters/git/source_fetcher.hpp"

#include "adapters/git/disk_tree.hpp"
#include "adapters/git/mirror.hpp"
#include "adapters/git/object_tree.hpp"
#include "adapters/git/resolver.hpp"
#include "adapters/git/submodules.hpp"
#include "base/backoff.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <array>
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
constexpr std::size_t k_longest_subject = 72;

constexpr int k_most_repositories = 200;
constexpr std::size_t k_most_attribute_files = 1'000;
/// Attributes that make a checkout differ from what git stores.
constexpr auto k_converting =
    std::to_array<std::string_view>({"eol=crlf", "ident", "working-tree-encoding", "filter="});

struct Attributes {
  std::string digest;     ///< Empty when there are none.
  bool converts = false;  ///< A checkout is needed to know what the files hold.
  bool lfs = false;
};

Result<Attributes> read_attributes(const JobContext& job, ObjectReader& objects,
                                   const TreeNode& root) {
  std::vector<std::string> files;
  for_each_file(root, "", [&](const std::string&, const TreeNode& node) {
    if (node.name == ".gitattributes" && node.mode.starts_with("100")) {
      files.push_back(node.object);
    }
  });
  Attributes attributes;
  if (files.empty()) {
    return attributes;
  }
  attributes.converts = files.size() > k_most_attribute_files;
  files.resize(std::min(files.size(), k_most_attribute_files));
  BUILDER_TRY_ASSIGN(const auto contents, objects.contents(job, files, "blob"));
  std::string all;
  for (const std::string& content : contents) {
    all += content + '\0';
  }
  attributes.digest = sha256_hex(all);
  attributes.lfs = all.contains("filter=lfs");
  attributes.converts = attributes.converts || std::ranges::any_of(k_converting, [&](auto word) {
                          return all.contains(word);
                        });
  return attributes;
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
    BUILDER_TRY(remove_tree(config_.builds_dir));
    for (const std::string& folder :
         {config_.builds_dir, config_.work_dir + "/mirrors", config_.work_dir + "/home"}) {
      BUILDER_TRY(make_directories(folder));
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
  /// Everything one fetch adds to: the root repository and its submodules share one.
  struct Fetch {
    const JobContext& job;
    const SourceSpec& source;
    EventSink& events;
    Endpoint credentials_for;  ///< Submodules elsewhere are fetched without credentials.
    /// Only where a commit has to be checked out: its files are in "tree", index files beside it.
    std::optional<TempDir> folder = {};
    Identities identities = {};
    int repositories = 0;

    [[nodiscard]] std::string root() const { return folder->path() + "/tree"; }
  };

  Result<FetchedSource> attempt_fetch(const JobContext& job, const SourceSpec& source,
                                      EventSink& events) {
    BUILDER_TRY_ASSIGN(const Endpoint endpoint, parse_endpoint(source.url));
    Fetch fetch{.job = job, .source = source, .events = events, .credentials_for = endpoint};
    BUILDER_TRY_ASSIGN(Obtained root,
                       obtain(fetch, source.url, source.branch, source.commit, "", 0));
    std::string subject = cut_characters(printable(root.subject), k_longest_subject);
    events.info("Checked out " + root.commit.substr(0, 12) + " " + subject);
    if (root.tree == nullptr) {
      const std::string path = fetch.root();
      BUILDER_TRY_ASSIGN(
          root.tree, make_disk_tree(*std::move(fetch.folder), path, std::move(fetch.identities)));
    }
    return FetchedSource{.commit = domain::CommitSha(root.commit),
                         .subject = std::move(subject),
                         .committed_at = root.committed_at,
                         .tree = std::move(root.tree)};
  }

  struct Obtained {
    std::string commit;
    std::string subject;
    std::chrono::sys_seconds committed_at;
    /// The files, unless they were written to the folder.
    std::shared_ptr<const ports::SourceTree> tree;
    std::map<std::string, std::string> submodules;      ///< Path -> commit.
    std::map<std::string, std::string> submodule_urls;  ///< By path.
  };

  /// `prefix` is the path of a submodule with a trailing '/', or empty.
  Result<Obtained> obtain(Fetch& fetch, const std::string& url, const std::string& branch,
                          const std::string& commit, const std::string& prefix, int depth) {
    BUILDER_TRY_ASSIGN(const Access access, access_to(fetch, url));
    const std::string mirror_folder =
        config_.work_dir + "/mirrors/" +
        sha256_hex(fetch.source.service_id.str() + "\n" + url).substr(0, 32);
    auto obtained = obtain_from(fetch, {mirror_folder, false}, url, branch, commit, access, prefix);
    if (!obtained && obtained.error().kind == ErrorKind::internal) {
      // git complains about something we have no name for: most likely the mirror is damaged.
      log_.warning("mirror {} is made anew: {}", mirror_folder, obtained.error().message);
      obtained = obtain_from(fetch, {mirror_folder, true}, url, branch, commit, access, prefix);
      if (!obtained && obtained.error().kind == ErrorKind::internal &&
          obtained.error().customer.empty()) {
        obtained.error().kind = ErrorKind::invalid_input;
        obtained.error().customer =
            "git cannot check out this repository; it may be damaged or hold "
            "paths that are not allowed";
      }
    }
    BUILDER_TRY(obtained);
    // The mirror is unlocked by now: a submodule may have the same URL.
    if (!obtained->submodules.empty()) {
      BUILDER_TRY(obtain_submodules(fetch, url, *obtained, prefix, depth));
    }
    return obtained;
  }

  struct MirrorChoice {
    std::string folder;
    bool anew;
  };

  /// One repository's own files, submodules left empty.
  Result<Obtained> obtain_from(Fetch& fetch, const MirrorChoice& choice, const std::string& url,
                               const std::string& branch, const std::string& commit,
                               const Access& access, const std::string& prefix) {
    const JobContext& job = fetch.job;
    BUILDER_TRY_ASSIGN(const Mirror mirror, Mirror::open(choice.folder, git_, job, choice.anew));
    // Starts while the network is asked.
    BUILDER_TRY_ASSIGN(ObjectReader objects, ObjectReader::start(git_, mirror.folder()));
    Obtained obtained;
    BUILDER_TRY_ASSIGN(obtained.commit, mirror.ensure(job, url, branch, commit, access));
    BUILDER_TRY_ASSIGN(CommitListing listing, list_commit(job, objects, obtained.commit));
    obtained.subject = std::move(listing.subject);
    obtained.committed_at = listing.committed_at;
    BUILDER_TRY_ASSIGN(const Attributes attributes, read_attributes(job, objects, listing.root));
    mirror.remember(obtained.commit);

    const TreeNode* modules = nullptr;
    for_each_file(listing.root, "", [&](const std::string& path, const TreeNode& node) {
      if (node.is_submodule()) {
        obtained.submodules[path] = node.object;
      } else if (path == ".gitmodules" && node.mode.starts_with("100")) {
        modules = &node;
      }
    });
    if (prefix.empty() && !attributes.converts && obtained.submodules.empty()) {
      BUILDER_TRY_ASSIGN(MirrorUse use, mirror.use());
      obtained.tree =
          make_object_tree(git_, std::move(use), std::move(objects), std::move(listing.root));
      return obtained;
    }
    BUILDER_TRY(write_files(fetch, mirror, url, obtained.commit, access, prefix, attributes.lfs));
    const std::string_view converted_by =
        attributes.converts ? std::string_view(attributes.digest) : std::string_view();
    for_each_file(listing.root, "", [&](const std::string& path, const TreeNode& node) {
      if (!node.is_submodule()) {
        fetch.identities[prefix + path] = content_of(node, converted_by);
      }
    });
    if (modules != nullptr && !obtained.submodules.empty()) {
      auto text = mirror.config_of(job, modules->object);
      if (!text) {
        return std::unexpected(std::move(text).error().for_customer(
            "The repository's .gitmodules file cannot be read; correct or remove it"));
      }
      obtained.submodule_urls = parse_submodule_urls(*text);
    }
    return obtained;
  }

  /// Checks a commit out below the folder of the fetch, replacing what an earlier attempt left.
  Result<> write_files(Fetch& fetch, const Mirror& mirror, const std::string& url,
                       const std::string& commit, const Access& access, const std::string& prefix,
                       bool lfs) const {
    if (!fetch.folder) {
      BUILDER_TRY_ASSIGN(fetch.folder, TempDir::make(config_.builds_dir, "b-"));
    }
    const std::string folder = fetch.root() + "/" + prefix;
    const std::string index =
        fetch.folder->path() + "/index-" + std::to_string(fetch.repositories++);
    BUILDER_TRY(remove_tree(folder));
    BUILDER_TRY(make_directories(folder));
    return lfs ? check_out_lfs(fetch, mirror, url, commit, access, folder, index)
               : mirror.check_out(fetch.job, commit, folder, index, {});
  }

  Result<Access> access_to(const Fetch& fetch, const std::string& url) {
    BUILDER_TRY_ASSIGN(const Endpoint endpoint, parse_endpoint(url));
    BUILDER_TRY_ASSIGN(const auto addresses, resolver_.lookup(endpoint.host, fetch.job));
    Access access;
    BUILDER_TRY_ASSIGN(access.endpoint, check_addresses(endpoint, addresses, config_.policy));
    if (endpoint == fetch.credentials_for) {
      access.username = fetch.source.username;
      access.password = fetch.source.password;
    }
    if (access.endpoint.plain_http && config_.policy != NetworkPolicy::any) {
      fetch.events.warning(
          "The repository is fetched over http: its content and credentials can "
          "be read on the way; use https");
      log_.warning("{} is fetched over plain http", endpoint.origin());
    }
    return access;
  }

  Result<> check_out_lfs(const Fetch& fetch, const Mirror& mirror, const std::string& url,
                         const std::string& commit, const Access& access, const std::string& folder,
                         const std::string& index) const {
    fetch.events.info("Fetching large files (Git LFS)");
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
    const auto checked_out = mirror.check_out(fetch.job, commit, folder, index, options);
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

  Result<> obtain_submodules(Fetch& fetch, const std::string& url, const Obtained& parent,
                             const std::string& prefix, int depth) {
    for (const auto& [path, commit] : parent.submodules) {
      const std::string shown = printable(prefix + path).substr(0, 60);
      const auto bad = [&](std::string_view why) {
        return std::unexpected(
            Error{.kind = ErrorKind::invalid_input,
                  .message = "submodule " + shown + ": " + std::string(why),
                  .customer = "Submodule '" + shown + "' cannot be fetched: " + std::string(why)});
      };
      const auto found = parent.submodule_urls.find(path);
      if (found == parent.submodule_urls.end()) {
        return bad("it has no URL in .gitmodules");
      }
      const std::string target = resolve_submodule_url(url, found->second);
      if (target.empty()) {
        return bad("its URL must be relative or begin with https://");
      }
      if (depth >= k_deepest_submodule) {
        return bad("submodules are nested too deeply");
      }
      if (fetch.repositories >= k_most_repositories) {
        return bad("there are too many submodules");
      }
      if (!is_plain_folder(fetch.root(), prefix + path)) {
        return bad("its path is not a folder of its own");
      }
      fetch.events.info("Fetching submodule " + shown);
      auto done = obtain(fetch, target, "main", commit, prefix + path + "/", depth + 1);
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
