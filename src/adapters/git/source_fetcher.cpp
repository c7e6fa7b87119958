#include "adapters/git/source_fetcher.hpp"

#include "adapters/git/attributes.hpp"
#include "adapters/git/disk_tree.hpp"
#include "adapters/git/large_files.hpp"
#include "adapters/git/mirror.hpp"
#include "adapters/git/object_tree.hpp"
#include "adapters/git/submodules.hpp"
#include "adapters/http/client.hpp"
#include "base/backoff.hpp"
#include "base/size.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"
#include "domain/customer_line.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

namespace builder::adapters::git {

namespace {

using domain::customer_line;
using domain::EventSink;
using domain::SourceSpec;
using ports::FetchedSource;
using ports::JobContext;

/// Before the one repetition in place. Most trouble of a host is over by then; what is not is left
/// to the run, which waits longer.
constexpr BackoffPolicy k_soon{.base = std::chrono::milliseconds(1'000),
                               .cap = std::chrono::milliseconds(1'000)};
/// Whoever walks a tree does so by recursion, and a submodule costs a clone.
constexpr int k_deepest_submodule = 50;
constexpr int k_most_repositories = 1'000;
constexpr int k_most_redirections = 5;
constexpr std::size_t k_longest_subject = 72;
/// Of a submodule, in messages.
constexpr std::size_t k_shown_path = 60;
/// Of .gitmodules and .lfsconfig.
constexpr std::uint64_t k_largest_config = 1U << 20U;
constexpr std::string_view k_removed = "The builder's copy of the repository was removed meanwhile";

/// Where a repository's own LFS server is by convention.
std::string lfs_url(const std::string& url) {
  return url + (url.ends_with(".git") ? "" : ".git") + "/info/lfs";
}

std::string shown_name(const std::string& url) {
  const std::size_t slash = url.rfind('/', url.rfind('/') - 1);
  std::string name = url.substr(slash + 1);
  return name.ends_with(".git") ? name.substr(0, name.size() - 4) : name;
}

class GitSourceFetcher final : public ports::SourceFetcher {
 public:
  explicit GitSourceFetcher(GitConfig config)
      : config_(std::move(config)), git_(config_.work_dir + "/home", config_.git_memory) {}

  Result<> prepare() const {
    // Nobody is building yet: whatever is here was left by a run that was killed.
    BUILDER_TRY(remove_tree(config_.builds_dir));
    BUILDER_TRY(make_directories(config_.builds_dir));
    BUILDER_TRY(remove_logs_of_git_lfs());
    return make_folders();
  }

  Result<FetchedSource> fetch(const JobContext& job, const SourceSpec& source,
                              EventSink& events) override {
    events.info("Cloning " + shown_name(source.url) +
                (!source.commit.empty()  ? " (commit " + source.commit.substr(0, 12) + ")"
                 : source.branch.empty() ? ""
                                         : " (branch " + source.branch + ")"));
    auto fetched = attempt_fetch(job, source, events);
    if (fetched || !fetched.error().is_transient() || job.stop.stop_requested() ||
        std::chrono::steady_clock::now() > job.deadline) {
      return fetched;
    }
    const std::optional<int> attempt = job.retries->take();
    if (!attempt) {
      return fetched;
    }
    const Error& error = fetched.error();
    job.log.warning("fetch failed, trying again: {}", error.message);
    events.warning((error.customer == k_removed ? std::string(k_removed)
                                                : "The git host did not answer properly") +
                   "; trying again (attempt " + std::to_string(*attempt) + " of " +
                   std::to_string(job.retries->most()) + ")");
    auto random = make_random();
    if (!sleep_for(next_delay(k_soon, 0, error.retry_after, random), job.stop)) {
      return failure(ErrorKind::cancelled, "stopped");
    }
    return attempt_fetch(job, source, events);
  }

 private:
  /// Whatever is below WORK_DIR may be removed at any time.
  [[nodiscard]] Result<> make_folders() const {
    if (config_.ensure_work_dir) {
      BUILDER_TRY(config_.ensure_work_dir());
    }
    for (const std::string& folder :
         {config_.builds_dir, config_.work_dir + "/mirrors", config_.work_dir + "/home"}) {
      if (auto made = make_directories(folder); !made) {
        Error error = std::move(made).error();
        error.kind = ErrorKind::unavailable;
        return std::unexpected(std::move(error).with_context("WORK_DIR"));
      }
    }
    return {};
  }

  /// Versions that ran git-lfs left its logs, which hold its environment, credentials included.
  [[nodiscard]] Result<> remove_logs_of_git_lfs() const {
    std::error_code none;  // No folder yet.
    for (std::filesystem::directory_iterator at(config_.work_dir + "/mirrors", none), end;
         !none && at != end; at.increment(none)) {
      if (at->is_directory(none)) {
        BUILDER_TRY(remove_tree(at->path().string() + "/lfs/logs"));
      }
    }
    return {};
  }

  /// Everything one fetch adds to: the root repository and its submodules share one.
  struct Fetch {
    const JobContext& job;
    const SourceSpec& source;
    EventSink& events;
    Account account;  ///< Elsewhere its credentials are not shown.
    /// Only where a commit has to be checked out: its files are in "tree", index files beside it.
    std::optional<TempDir> folder = {};
    Identities identities = {};
    ListingRoom room = {};
    int repositories = 0;
    std::uint64_t bytes = 0;          ///< Of all files, those of submodules and LFS included.
    std::set<std::string> used = {};  ///< What must be there until the fetch has ended.

    [[nodiscard]] std::string root() const { return folder->path() + "/tree"; }

    [[nodiscard]] std::optional<std::string> missing() const {
      std::error_code error;
      const auto found = std::ranges::find_if(
          used, [&](const std::string& path) { return !std::filesystem::exists(path, error); });
      return found == used.end() ? std::nullopt : std::optional(*found);
    }
  };

  Result<FetchedSource> attempt_fetch(const JobContext& job, const SourceSpec& source,
                                      EventSink& events) {
    auto fetched = fetch_once(job, source, events);
    if (!fetched && fetched.error().kind == ErrorKind::timed_out &&
        fetched.error().customer.empty()) {
      fetched.error().customer = "Fetching the source took too long";
    }
    return fetched;
  }

  Result<FetchedSource> fetch_once(const JobContext& job, const SourceSpec& source,
                                   EventSink& events) {
    BUILDER_TRY_ASSIGN(const Endpoint endpoint, parse_endpoint(source.url));
    Fetch fetch{.job = job,
                .source = source,
                .events = events,
                .account = {.endpoint = endpoint,
                            .base = source.base.empty() ? endpoint.origin() : source.base}};
    BUILDER_TRY(make_folders());
    fetch.used = {config_.work_dir + "/mirrors", config_.builds_dir};
    auto obtained = obtain(fetch, {.url = source.url},
                           {.branch = source.branch, .commit = source.commit}, "", 0);
    if (const auto missing = fetch.missing(); missing && !job.stop.stop_requested()) {
      // Neither the repository's fault nor the host's, whatever it looked like.
      return std::unexpected(Error{.kind = ErrorKind::unavailable,
                                   .message = *missing +
                                              " was removed while it was in use (WORK_DIR)" +
                                              (obtained ? "" : ": " + obtained.error().message),
                                   .customer = std::string(k_removed)});
    }
    BUILDER_TRY_ASSIGN(Obtained root, std::move(obtained));
    std::string subject = printable_line(root.subject, k_longest_subject);
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
    std::map<std::string, std::string> submodules;  ///< Path -> commit.
    std::map<std::string, Submodule> modules;       ///< What .gitmodules says, by path.
  };

  /// What is wanted of a repository.
  struct Revision {
    std::string branch;
    std::string commit;  ///< Empty: the branch's head.
  };

  /// `prefix` is the path of a submodule with a trailing '/', or empty.
  Result<Obtained> obtain(Fetch& fetch, const SubmoduleSource& source, const Revision& revision,
                          const std::string& prefix, int depth) {
    BUILDER_TRY_ASSIGN(Access access, access_to(fetch, source));
    Mirror::Opening opening{
        .folder = config_.work_dir + "/mirrors/" +
                  sha256_hex(fetch.source.service_id.str() + "\n" + source.url).substr(0, 32)};
    std::string url = source.url;
    int redirections = 0;
    auto obtained = obtain_from(fetch, opening, url, revision, access, prefix);
    while (!obtained && is_redirection(obtained.error()) && redirections < k_most_redirections) {
      BUILDER_TRY_ASSIGN(url, follow_redirection(fetch, url, access));
      ++redirections;
      obtained = obtain_from(fetch, opening, url, revision, access, prefix);
    }
    if (!obtained && is_of_other_format(obtained.error())) {
      opening.anew = opening.other_format = true;
      obtained = obtain_from(fetch, opening, url, revision, access, prefix);
      opening.other_format = false;
    }
    if (!obtained && obtained.error().kind == ErrorKind::internal) {
      // git complains about something we have no name for: most likely the mirror is damaged.
      fetch.job.log.warning("mirror {} is made anew: {}", opening.folder, obtained.error().message);
      opening.anew = true;
      obtained = obtain_from(fetch, opening, url, revision, access, prefix);
      if (!obtained && obtained.error().kind == ErrorKind::internal) {
        obtained.error().kind = ErrorKind::invalid_input;
        if (obtained.error().customer.empty()) {
          obtained.error().customer =
              "git cannot check out this repository; it may be damaged or hold paths that are not "
              "allowed";
        }
      }
    }
    BUILDER_TRY(obtained);
    if (redirections > 0) {
      fetch.events.warning(customer_line("The repository has moved to " + url +
                                         "; enter its new name in the service's settings"));
    }
    // The mirror is unlocked by now: a submodule may have the same URL.
    BUILDER_TRY(obtain_submodules(fetch, source.url, *obtained, prefix, depth));
    return obtained;
  }

  /// Where a server sends git's first question. git itself may not follow: it would show the
  /// credentials wherever that leads.
  Result<std::string> follow_redirection(const Fetch& fetch, const std::string& url,
                                         const Access& access) const {
    constexpr std::string_view k_asked = "/info/refs";
    http::Request request;
    request.url = url + std::string(k_asked) + "?service=git-upload-pack";
    request.pinned = access.endpoint.pinned();
    request.timeout = std::chrono::milliseconds(0);
    if (!access.password.empty()) {
      request.headers.push_back({"Authorization", access.authorization()});
    }
    BUILDER_TRY_ASSIGN(const http::Response response,
                       http_->send(request, fetch.job.stop, fetch.job.deadline));
    std::string location(response.header("Location").value_or(""));
    if (location.starts_with('/') && !location.starts_with("//")) {
      location.insert(0, access.endpoint.endpoint.origin());
    }
    location.resize(std::min(location.find_first_of("?#"), location.size()));
    const bool asks_on = location.ends_with(k_asked);
    if (asks_on) {
      location.resize(location.size() - k_asked.size());
    }
    const auto endpoint = parse_endpoint(location);
    const bool plain = std::ranges::all_of(
        location, [](unsigned char c) { return c > 0x20 && c < 0x7F && c != '\\' && c != '"'; });
    if (asks_on && plain && endpoint && *endpoint == access.endpoint.endpoint) {
      return location;
    }
    return std::unexpected(
        Error{.kind = ErrorKind::invalid_input,
              .message = url + " is redirected to " + printable_line(location),
              .customer = customer_line(
                  plain && endpoint
                      ? "The repository has moved to another address, " + location.substr(0, 100) +
                            "; enter it in the settings"
                      : "The git host redirects to an address that cannot be used; enter the "
                        "repository's new name in the settings")});
  }

  /// One repository's own files, submodules left empty.
  Result<Obtained> obtain_from(Fetch& fetch, const Mirror::Opening& opening, const std::string& url,
                               const Revision& revision, const Access& access,
                               const std::string& prefix) {
    const JobContext& job = fetch.job;
    BUILDER_TRY_ASSIGN(const Mirror mirror, Mirror::open(opening, git_, job, fetch.events));
    fetch.used.insert(mirror.folder() + "/HEAD");
    // Starts while the network is asked.
    BUILDER_TRY_ASSIGN(ObjectReader objects, ObjectReader::start(git_, mirror.folder()));
    Obtained obtained;
    BUILDER_TRY_ASSIGN(const std::string found,
                       mirror.ensure(job, url, revision.branch, revision.commit, access));
    BUILDER_TRY_ASSIGN(obtained.commit, objects.commit_of(job, found));
    BUILDER_TRY_ASSIGN(CommitListing listing,
                       list_commit(job, objects, obtained.commit, fetch.room, prefix.size()));
    BUILDER_TRY(add_bytes(fetch, listing.bytes));
    obtained.subject = std::move(listing.subject);
    obtained.committed_at = listing.committed_at;
    BUILDER_TRY_ASSIGN(const Attributes attributes, read_attributes(job, objects, listing.root));
    mirror.remember(obtained.commit);

    const TreeNode* modules = nullptr;
    const TreeNode* lfsconfig = nullptr;
    for_each_file(listing.root, "", [&](const std::string& path, const TreeNode& node) {
      if (node.is_submodule()) {
        obtained.submodules[path] = node.object.hex();
      } else if (path == ".gitmodules" && node.is_file()) {
        modules = &node;
      } else if (path == ".lfsconfig" && node.is_file()) {
        lfsconfig = &node;
      }
    });
    if (prefix.empty() && !attributes.converts && obtained.submodules.empty() &&
        !listing.has_paths) {
      BUILDER_TRY_ASSIGN(MirrorUse use, mirror.use());
      obtained.tree =
          make_object_tree(git_, std::move(use), std::move(objects), std::move(listing.root));
      return obtained;
    }
    BUILDER_TRY_ASSIGN(const Mirror::WorkTree tree, make_work_tree(fetch, prefix));
    BUILDER_TRY(mirror.check_out(job, obtained.commit, tree));
    if (attributes.lfs) {
      LargeFileSettings settings;
      if (lfsconfig != nullptr) {
        if (const auto text = config_of(job, mirror, *lfsconfig)) {
          settings = parse_lfsconfig(*text);
        } else {
          fetch.events.warning(".lfsconfig cannot be read and is ignored");
        }
      }
      BUILDER_TRY(bring_large_files(fetch, mirror, objects, tree, settings, url, access));
    }
    std::string converted_by = attributes.converts ? attributes.digest : std::string();
    if (attributes.lfs && lfsconfig != nullptr) {
      converted_by += lfsconfig->object.hex();  // It may leave pointers as they are.
    }
    for_each_file(listing.root, "", [&](const std::string& path, const TreeNode& node) {
      if (!node.is_submodule()) {
        fetch.identities[prefix + path] = content_of(node, converted_by);
      }
    });
    if (modules != nullptr && !obtained.submodules.empty()) {
      auto text = config_of(job, mirror, *modules);
      if (!text) {
        return std::unexpected(std::move(text).error().for_customer(
            "The repository's .gitmodules file cannot be read; correct or remove it"));
      }
      obtained.modules = parse_submodules(*text);
    }
    return obtained;
  }

  static Result<std::string> config_of(const JobContext& job, const Mirror& mirror,
                                       const TreeNode& file) {
    if (file.size > k_largest_config) {
      return failure(ErrorKind::invalid_input, file.name + " has more than 1 MiB");
    }
    return mirror.config_of(job, file.object.hex());
  }

  /// Whether so many bytes more are taken.
  Result<> add_bytes(Fetch& fetch, std::uint64_t bytes) const {
    if (config_.largest_source == 0 || bytes <= config_.largest_source - fetch.bytes) {
      fetch.bytes += bytes;
      return {};
    }
    return std::unexpected(
        Error{.kind = ErrorKind::invalid_input,
              .message = "the files have more than MAX_SOURCE_SIZE",
              .customer = "The files of this commit have more than " +
                          format_size(config_.largest_source) +
                          " together (copies count); take large ones out of it, or ask the "
                          "operator for a higher limit"});
  }

  /// An empty folder for a commit below that of the fetch, in place of what an earlier attempt
  /// left.
  Result<Mirror::WorkTree> make_work_tree(Fetch& fetch, const std::string& prefix) const {
    if (!fetch.folder) {
      BUILDER_TRY_ASSIGN(fetch.folder, TempDir::make(config_.builds_dir, "b-"));
    }
    Mirror::WorkTree tree{
        .folder = fetch.root() + "/" + prefix,
        .index_file = fetch.folder->path() + "/index-" + std::to_string(fetch.repositories++)};
    BUILDER_TRY(remove_tree(tree.folder));
    BUILDER_TRY(make_directories(tree.folder));
    fetch.used.insert(tree.index_file.substr(0, tree.index_file.rfind('/')));
    fetch.used.insert(fetch.root());
    return tree;
  }

  /// Whether a URL may be asked, and at which addresses or through which proxy.
  Result<CheckedEndpoint> reach(const JobContext& job, const std::string& url) {
    return check_host(url, {config_.policy, config_.allowed_hosts, config_.proxies}, resolver_,
                      job);
  }

  Result<Access> access_to(const Fetch& fetch, const SubmoduleSource& source) {
    Access access;
    BUILDER_TRY_ASSIGN(access.endpoint, reach(fetch.job, source.url));
    access.repository = shown_name(source.url);
    const Endpoint& endpoint = access.endpoint.endpoint;
    if (endpoint == fetch.account.endpoint) {
      access.username = fetch.source.username;
      access.password = fetch.source.password;
    } else {
      access.username = source.username;
      access.password = source.password;
    }
    if (access.endpoint.plain_http && config_.policy != NetworkPolicy::any) {
      fetch.events.warning(
          "The repository is fetched over http: its content and credentials can "
          "be read on the way; use https");
      fetch.job.log.warning("{} is fetched over plain http", endpoint.origin());
    }
    return access;
  }

  /// Puts the contents that Git LFS keeps in the place of their pointers.
  Result<> bring_large_files(Fetch& fetch, const Mirror& mirror, ObjectReader& objects,
                             const Mirror::WorkTree& tree, const LargeFileSettings& settings,
                             const std::string& url, const Access& access) {
    BUILDER_TRY_ASSIGN(const auto wanted, find_pointers(fetch, mirror, objects, tree, settings));
    if (wanted.empty()) {
      return {};
    }
    for (const auto& [path, file] : wanted) {
      BUILDER_TRY(add_bytes(fetch, file.size));
    }
    fetch.events.info("Fetching large files (Git LFS)");
    const LargeFiles files(*http_, mirror.folder() + "/lfs",
                           [this, &fetch](const std::string& to) { return reach(fetch.job, to); });
    auto fetched = fetch_large_files(fetch, files, settings, wanted, url, access);
    if (!fetched) {
      Error error = std::move(fetched).error();
      if (error.customer.empty()) {
        error.customer = "The repository's large files (Git LFS) could not be fetched";
      }
      return std::unexpected(std::move(error));
    }
    for (const auto& [path, file] : wanted) {
      BUILDER_TRY(replace_content(tree.folder, path, files.path_of(file)));
    }
    return {};
  }

  /// From the server that .lfsconfig names, if any, then from the repository's own.
  Result<> fetch_large_files(const Fetch& fetch, const LargeFiles& files,
                             const LargeFileSettings& settings,
                             const std::map<std::string, LargeFile>& wanted, const std::string& url,
                             const Access& access) {
    const std::string own = lfs_url(url);
    if (settings.url.empty() || settings.url == own) {
      return files.fetch(fetch.job, own, access, wanted);
    }
    const auto ask_named = [&]() -> Result<> {
      SubmoduleSource named = resolve_submodule(url, settings.url, fetch.account);
      if (!settings.url.starts_with("http")) {
        named.url = named.url.empty() ? "" : lfs_url(named.url);
      }
      if (named.url.empty()) {
        return failure(ErrorKind::invalid_input, named.refused);
      }
      BUILDER_TRY_ASSIGN(const Access its, access_to(fetch, named));
      if (its.endpoint.endpoint != fetch.account.endpoint) {
        fetch.events.warning(customer_line(".lfsconfig names another LFS server, " +
                                           its.endpoint.endpoint.host +
                                           "; it is asked without the account's credentials"));
      }
      return files.fetch(fetch.job, named.url, its, wanted);
    };
    auto asked = ask_named();
    if (asked || asked.error().kind == ErrorKind::cancelled || asked.error().is_transient()) {
      return asked;
    }
    Error error = std::move(asked).error();
    const std::string why = error.customer.empty() ? error.message : error.customer;
    fetch.events.warning(customer_line("The LFS server of .lfsconfig is ignored because: " + why));
    auto from_own = files.fetch(fetch.job, own, access, wanted);
    if (!from_own && from_own.error().kind != ErrorKind::cancelled &&
        !from_own.error().is_transient()) {
      error.message += "; then " + from_own.error().message;
      error.customer = customer_line(".lfsconfig names an LFS server that cannot be used: " + why);
      return std::unexpected(std::move(error));
    }
    return from_own;
  }

  /// The files that git-lfs would have replaced, by path.
  static Result<std::map<std::string, LargeFile>> find_pointers(const Fetch& fetch,
                                                                const Mirror& mirror,
                                                                ObjectReader& objects,
                                                                const Mirror::WorkTree& tree,
                                                                const LargeFileSettings& settings) {
    const auto matching =
        [&](const std::vector<std::string>& patterns) -> Result<std::set<std::string>> {
      std::vector<std::string> selection{"--cached", "--ignored"};
      for (const std::string& pattern : patterns) {
        selection.push_back("--exclude=" + pattern);
      }
      BUILDER_TRY_ASSIGN(const auto paths, mirror.list_files(fetch.job, tree, selection));
      return std::set<std::string>(paths.begin(), paths.end());
    };
    std::set<std::string> included;
    std::set<std::string> excluded;
    if (!settings.included.empty()) {
      BUILDER_TRY_ASSIGN(included, matching(settings.included));
    }
    if (!settings.excluded.empty()) {
      BUILDER_TRY_ASSIGN(excluded, matching(settings.excluded));
    }
    // <mode> SP <object> SP <stage> TAB <path>
    BUILDER_TRY_ASSIGN(const auto entries,
                       mirror.list_files(fetch.job, tree, {"--stage", "--", ":(attr:filter=lfs)"}));
    std::map<std::string, std::vector<std::string>> paths;  // By blob.
    for (const std::string& entry : entries) {
      const std::size_t tab = entry.find('\t');
      const std::string path = entry.substr(std::min(tab + 1, entry.size()));
      if (entry.starts_with("100") && tab != std::string::npos && !excluded.contains(path) &&
          (settings.included.empty() || included.contains(path))) {
        paths[entry.substr(7, entry.find(' ', 7) - 7)].push_back(path);
      }
    }
    return read_pointers(fetch.job, objects, paths);
  }

  /// Of the files that are pointers, by path. However many have one content, it is read once.
  static Result<std::map<std::string, LargeFile>> read_pointers(
      const JobContext& job, ObjectReader& objects,
      const std::map<std::string, std::vector<std::string>>& paths) {
    constexpr std::size_t k_at_once = 4'096;
    std::vector<std::string> blobs;
    for (const auto& [blob, its] : paths) {
      blobs.push_back(blob);
    }
    BUILDER_TRY_ASSIGN(const auto sizes, objects.sizes(job, blobs, "blob"));
    std::vector<std::string> small;
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      if (sizes[i] <= k_longest_pointer) {
        small.push_back(blobs[i]);
      }
    }
    std::map<std::string, LargeFile> wanted;
    for (std::size_t at = 0; at < small.size(); at += k_at_once) {
      const auto part = std::span(small).subspan(at, std::min(k_at_once, small.size() - at));
      BUILDER_TRY_ASSIGN(const auto contents, objects.contents(job, part, "blob"));
      for (std::size_t i = 0; i < contents.size(); ++i) {
        const auto pointer = parse_pointer(contents[i]);
        for (const std::string& path : paths.at(part[i])) {
          if (pointer) {
            wanted.emplace(path, *pointer);
          }
        }
      }
    }
    return wanted;
  }

  Result<> obtain_submodules(Fetch& fetch, const std::string& url, const Obtained& parent,
                             const std::string& prefix, int depth) {
    for (const auto& [path, commit] : parent.submodules) {
      const std::string shown = printable_line(prefix + path, k_shown_path);
      const auto module = parent.modules.find(path);
      if (module == parent.modules.end() || module->second.url.empty()) {
        fetch.events.warning("Submodule '" + shown +
                             "' has no URL in .gitmodules; its folder stays empty");
        continue;
      }
      if (module->second.skipped) {
        fetch.events.warning("Submodule '" + shown +
                             "' has update = none in .gitmodules; its folder stays empty");
        continue;
      }
      BUILDER_TRY(obtain_submodule(fetch, resolve_submodule(url, module->second.url, fetch.account),
                                   commit, prefix + path, depth));
    }
    return {};
  }

  Result<> obtain_submodule(Fetch& fetch, const SubmoduleSource& source, const std::string& commit,
                            const std::string& path, int depth) {
    const std::string shown = printable_line(path, k_shown_path);
    const auto bad = [&](const std::string& why) {
      return std::unexpected(
          Error{.kind = ErrorKind::invalid_input,
                .message = "submodule " + shown + ": " + why,
                .customer = customer_line("Submodule '" + shown + "' cannot be fetched: " + why)});
    };
    if (!source.refused.empty()) {
      return bad(source.refused);
    }
    if (depth >= k_deepest_submodule) {
      return bad("submodules are nested too deeply");
    }
    if (fetch.repositories >= k_most_repositories) {
      return bad("there are too many submodules");
    }
    if (!is_plain_folder(fetch.root(), path)) {
      return bad("its path is not a folder of its own");
    }
    fetch.events.info("Fetching submodule " + shown);
    auto done = obtain(fetch, source, {.branch = "main", .commit = commit}, path + "/", depth + 1);
    if (done) {
      return {};
    }
    Error error = std::move(done).error();
    if (error.kind != ErrorKind::cancelled) {
      std::string why = error.customer.empty() ? "it cannot be fetched; check its URL and commit"
                                               : error.customer;
      const auto endpoint = parse_endpoint(source.url);
      if (error.kind == ErrorKind::denied && endpoint && *endpoint != fetch.account.endpoint &&
          source.password.empty()) {
        why = endpoint->host.substr(0, 40) + " asks for credentials, and the account is for " +
              fetch.account.endpoint.host.substr(0, 40) + "; make it public or move it there";
      }
      error.customer = customer_line("Submodule '" + shown + "': " + why);
    }
    return std::unexpected(std::move(error).with_context("submodule " + shown));
  }

  const GitConfig config_;
  const GitProcess git_;
  Resolver resolver_;
  const std::unique_ptr<http::Client> http_ = http::make_client(config_.proxies);
};

}  // namespace

Result<std::unique_ptr<ports::SourceFetcher>> make_source_fetcher(GitConfig config) {
  auto fetcher = std::make_unique<GitSourceFetcher>(std::move(config));
  BUILDER_TRY(fetcher->prepare());
  return fetcher;
}

}  // namespace builder::adapters::git
