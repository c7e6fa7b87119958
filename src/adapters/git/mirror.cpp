#include "adapters/git/mirror.hpp"

#include "base/file_lock.hpp"
#include "base/temp_dir.hpp"
#include "base/text.hpp"
#include "domain/customer_line.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

namespace builder::adapters::git {

namespace {

using domain::customer_line;

constexpr std::chrono::milliseconds k_lock_interval{20};
constexpr const char* k_kept_ref = "refs/deployra/last";
/// Nothing is ever packed anew: a mirror with more than this is made anew instead. Loose objects
/// are counted in one of their 256 folders.
constexpr int k_most_packs = 100;
constexpr int k_most_loose_objects = 40;

bool exists(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

std::size_t digits_of(ObjectFormat format) {
  return format == ObjectFormat::sha256 ? 64 : 40;
}

Result<> write_text(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) {
    return failure(ErrorKind::unavailable, "write " + path);
  }
  return {};
}

/// What `git init --bare` makes, without its templates and without a process.
Result<> make_repository(const std::string& folder, ObjectFormat format) {
  BUILDER_TRY(make_directories(folder + "/objects/info"));
  BUILDER_TRY(make_directories(folder + "/objects/pack"));
  BUILDER_TRY(make_directories(folder + "/refs/heads"));
  BUILDER_TRY(make_directories(folder + "/refs/tags"));
  BUILDER_TRY(make_directories(folder + "/seen"));
  const bool sha256 = format == ObjectFormat::sha256;
  BUILDER_TRY(write_text(folder + "/config",
                         std::string("[core]\n\trepositoryformatversion = ") +
                             (sha256 ? "1" : "0") + "\n\tbare = true\n" +
                             (sha256 ? "[extensions]\n\tobjectFormat = sha256\n" : "")));
  return write_text(folder + "/HEAD", "ref: refs/heads/main\n");
}

/// Locks that a killed git left behind: we hold the mirror's own lock, so nobody uses them.
void remove_stale_locks(const std::string& folder) {
  for (const char* name : {"shallow.lock", "HEAD.lock", "config.lock", "packed-refs.lock",
                           "FETCH_HEAD.lock", "refs/deployra/last.lock"}) {
    ::unlink((folder + "/" + name).c_str());
  }
}

struct RemoteRefs {
  std::string head;  ///< Branch that HEAD stands for; empty: none that exists.
  std::set<std::string, std::less<>> names;
};

/// Lines of `git ls-remote --symref`: "ref: <name> TAB HEAD" and "<id> TAB <name>".
RemoteRefs parse_refs(std::string_view listed) {
  constexpr std::string_view k_symbolic = "ref: refs/heads/";
  RemoteRefs refs;
  std::istringstream lines{std::string(listed)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) {
      continue;
    }
    if (!line.starts_with("ref: ")) {
      refs.names.insert(line.substr(tab + 1));
    } else if (line.starts_with(k_symbolic) && line.substr(tab + 1) == "HEAD") {
      refs.head = line.substr(k_symbolic.size(), tab - k_symbolic.size());
    }
  }
  return refs;
}

std::string some_branches(const RemoteRefs& refs) {
  constexpr std::string_view k_heads = "refs/heads/";
  std::string text;
  int shown = 0;
  for (auto at = refs.names.lower_bound(k_heads);
       at != refs.names.end() && at->starts_with(k_heads) && shown < 3; ++at, ++shown) {
    text += (shown == 0 ? "; it has '" : ", '") + printable_line(at->substr(k_heads.size())) + "'";
  }
  return text.empty() ? "; check the service's settings" : text;
}

int count_entries(const std::string& folder) {
  std::error_code error;
  int count = 0;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    ++count;
  }
  return count;
}

bool is_worn(const std::string& folder) {
  return count_entries(folder + "/objects/pack") > 2 * k_most_packs ||
         count_entries(folder + "/objects/17") > k_most_loose_objects;
}

Result<Fd> lock(const std::string& path, const ports::JobContext& job) {
  BUILDER_TRY_ASSIGN(Fd fd, open_lock(path));
  // flock has no descriptor to poll; two builds of one service hardly ever meet here.
  for (;;) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      if (is_still_at(fd, path)) {
        return fd;
      }
      BUILDER_TRY_ASSIGN(fd, open_lock(path));
      continue;
    }
    if (std::chrono::steady_clock::now() > job.deadline) {
      return failure(ErrorKind::timed_out, "the mirror is locked");
    }
    if (!sleep_for(k_lock_interval, job.stop)) {
      return failure(ErrorKind::cancelled, "stopped while waiting for the mirror");
    }
  }
}

}  // namespace

bool is_of_other_format(const Error& error) {
  return error.kind == ErrorKind::conflict;
}

ObjectFormat Mirror::format_of(const std::string& folder) {
  std::ostringstream text;
  text << std::ifstream(folder + "/config").rdbuf();
  return text.str().contains("objectFormat = sha256") ? ObjectFormat::sha256 : ObjectFormat::sha1;
}

bool Mirror::is_full(const std::string& commit) const {
  return commit.size() == digits_of(format_);
}

Result<Mirror> Mirror::open(const Opening& opening, const GitProcess& git,
                            const ports::JobContext& job, domain::EventSink& events) {
  const std::string& folder = opening.folder;
  BUILDER_TRY_ASSIGN(Fd held, lock(folder + ".lock", job));
  ::futimens(held.get(), nullptr);  // For `last_used`.
  // HEAD is written last: without it the mirror was not finished.
  if (opening.anew || !exists(folder + "/HEAD") || is_worn(folder)) {
    const bool sha256 = (format_of(folder) == ObjectFormat::sha256) != opening.other_format;
    // Builds that read its objects end first.
    BUILDER_TRY_ASSIGN(const Fd unused, lock(folder + ".use", job));
    BUILDER_TRY(remove_tree(folder));
    BUILDER_TRY(make_repository(folder, sha256 ? ObjectFormat::sha256 : ObjectFormat::sha1));
  }
  remove_stale_locks(folder);
  return Mirror(folder, std::move(held), git, events);
}

timespec Mirror::last_used(const std::string& folder) {
  struct stat status{};
  return ::lstat((folder + ".lock").c_str(), &status) == 0 ? status.st_mtim : timespec{};
}

bool Mirror::remove_unused(const std::string& folder) {
  // In the order of `open`. The lock files stay: others may be waiting for them.
  const auto held = open_lock(folder + ".lock");
  if (!held || ::flock(held->get(), LOCK_EX | LOCK_NB) != 0) {
    return false;
  }
  const auto unused = open_lock(folder + ".use");
  if (!unused || ::flock(unused->get(), LOCK_EX | LOCK_NB) != 0) {
    return false;
  }
  // First: should we die on the way, the rest is no mirror.
  ::unlink((folder + "/HEAD").c_str());
  return remove_tree(folder).has_value();
}

void MirrorUse::condemn() const {
  ::unlink((folder_ + "/HEAD").c_str());
}

Result<MirrorUse> Mirror::use() const {
  // Free: it is taken for good only under the mirror's own lock, which we hold.
  BUILDER_TRY_ASSIGN(Fd fd, open_lock(folder_ + ".use"));
  if (::flock(fd.get(), LOCK_SH | LOCK_NB) != 0) {
    return errno_failure("use the mirror");
  }
  return MirrorUse(folder_, std::move(fd));
}

Result<std::string> Mirror::git(const ports::JobContext& job,
                                const std::vector<std::string>& arguments,
                                const Access* access) const {
  GitProcess::Options options;
  options.git_dir = folder_;
  options.access = access;
  // A git that outlives a killed worker keeps the lock: nobody works in the mirror beside it.
  options.held = lock_.get();
  options.warnings = &events_;
  return git_.run(job, arguments, options);
}

void Mirror::remember(const std::string& commit) const {
  // A lost mark costs one fetch.
  const Fd mark(::open((folder_ + "/seen/" + commit).c_str(),
                       O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

bool Mirror::has(const ports::JobContext& job, const std::string& commit) const {
  if (exists(folder_ + "/seen/" + commit)) {
    return true;
  }
  // A fetch that was killed may leave a commit without its files; and asking costs a process. A
  // full history is worth it: a shallow fetch would make it shallow again.
  if (exists(folder_ + "/shallow") || !exists(folder_ + "/refs/deployra")) {
    return false;
  }
  return git(job, {"cat-file", "-e", commit + "^{commit}"}).has_value();
}

Result<std::string> Mirror::fetch_head(const ports::JobContext& job, const std::string& url,
                                       const std::string& what, bool shallow,
                                       const Access& access) const {
  // The ref keeps the objects, so that the next fetch can say what we have.
  std::vector<std::string> arguments{"fetch", "--quiet", "--no-tags", "--no-auto-gc",
                                     "--no-write-fetch-head"};
  if (shallow) {
    arguments.emplace_back("--depth=1");
  }
  arguments.insert(arguments.end(), {"--end-of-options", url, "+" + what + ":" + k_kept_ref});
  if (const auto fetched = git(job, arguments, &access); !fetched) {
    if (shallow && fetched.error().message.contains("dumb http transport")) {
      // Plain files on a web server: they can only be taken whole.
      return fetch_head(job, url, what, false, access);
    }
    return std::unexpected(fetched.error());
  }
  std::ifstream ref(folder_ + "/" + k_kept_ref);
  std::string commit;
  ref >> commit;
  if (!is_full(commit)) {
    return failure(ErrorKind::internal, "git fetched no commit");
  }
  return commit;
}

Result<> Mirror::fetch_everything(const ports::JobContext& job, const std::string& url,
                                  const Access& access) const {
  std::vector<std::string> arguments{"fetch", "--quiet", "--no-auto-gc", "--no-write-fetch-head",
                                     "--prune"};
  if (exists(folder_ + "/shallow")) {
    arguments.emplace_back("--unshallow");
  }
  arguments.insert(arguments.end(), {"--end-of-options", url, "+refs/heads/*:refs/deployra/heads/*",
                                     "+refs/tags/*:refs/deployra/tags/*"});
  BUILDER_TRY(git(job, arguments, &access));
  return {};
}

Result<std::string> Mirror::ensure(const ports::JobContext& job, const std::string& url,
                                   const std::string& branch, const std::string& commit,
                                   const Access& access) const {
  if (commit.empty()) {
    return find_branch(job, url, branch, access);
  }
  auto found = find(job, url, commit, access);
  if (found || found.error().kind != ErrorKind::not_found) {
    return found;
  }
  // Asked again before the customer is told: git takes a connection that closes among an answer's
  // headers for the answer of a repository without branches.
  return find(job, url, commit, access);
}

Result<std::string> Mirror::find_branch(const ports::JobContext& job, const std::string& url,
                                        const std::string& branch, const Access& access) const {
  if (branch.empty()) {
    return fetch_head(job, url, "HEAD", true, access);
  }
  const std::string head = "refs/heads/" + branch;
  const std::string tag = "refs/tags/" + branch;
  auto fetched = fetch_head(job, url, head, true, access);
  if (fetched || fetched.error().kind != ErrorKind::not_found ||
      !fetched.error().customer.empty()) {
    return fetched;
  }
  BUILDER_TRY_ASSIGN(
      const std::string some,
      git(job, {"ls-remote", "--quiet", "--symref", "--end-of-options", url, "HEAD", head, tag},
          &access));
  const RemoteRefs refs = parse_refs(some);
  if (refs.names.contains(head)) {
    return fetch_head(job, url, head, true, access);  // The first answer was cut short.
  }
  if (refs.names.contains(tag)) {
    events_.info("'" + branch + "' is a tag of this repository");
    return fetch_head(job, url, tag, true, access);
  }
  Error error{.kind = ErrorKind::not_found, .message = fetched.error().message};
  std::string known = refs.head.empty() ? "" : "; its default branch is '" + refs.head + "'";
  if (known.empty()) {
    BUILDER_TRY_ASSIGN(const std::string all,
                       git(job, {"ls-remote", "--quiet", "--end-of-options", url}, &access));
    const RemoteRefs listed = parse_refs(all);
    if (listed.names.empty()) {
      return std::unexpected(
          std::move(error).for_customer("The repository has no commits yet; push a commit to '" +
                                        branch.substr(0, 60) + "' and deploy again"));
    }
    known = some_branches(listed);
  }
  return std::unexpected(std::move(error).for_customer(
      customer_line("Branch '" + branch + "' does not exist in this repository" + known)));
}

Result<std::string> Mirror::find(const ports::JobContext& job, const std::string& url,
                                 const std::string& commit, const Access& access) const {
  if (is_full(commit)) {
    if (has(job, commit)) {
      // Whoever asks has to be let in by the server all the same.
      BUILDER_TRY(git(job, {"ls-remote", "--quiet", "--end-of-options", url, "HEAD"}, &access));
      return commit;
    }
    auto fetched = fetch_head(job, url, commit, true, access);
    // Servers may refuse commits that are no branch's head, or by the protocol's old version.
    if (fetched || fetched.error().kind != ErrorKind::not_found ||
        !fetched.error().customer.empty()) {
      return fetched;
    }
  }
  BUILDER_TRY(fetch_everything(job, url, access));
  auto resolved = git(job, {"rev-parse", "--verify", "--end-of-options", commit + "^{commit}"});
  if (resolved) {
    return printable_line(*resolved);
  }
  if (resolved.error().kind == ErrorKind::cancelled ||
      resolved.error().kind == ErrorKind::timed_out) {
    return resolved;
  }
  const bool ambiguous = resolved.error().message.contains("ambiguous");
  return std::unexpected(
      Error{.kind = ambiguous ? ErrorKind::invalid_input : ErrorKind::not_found,
            .message = "commit " + commit + ": " + resolved.error().message,
            .customer = "Commit " + commit +
                        (ambiguous ? " is ambiguous in this repository; enter more digits of it"
                                   : " is not in this repository; check the SHA")});
}

Result<std::string> Mirror::config_of(const ports::JobContext& job,
                                      const std::string& object) const {
  return git(job, {"config", "--blob", object, "--null", "--list"});
}

Result<> Mirror::check_out(const ports::JobContext& job, const std::string& commit,
                           const WorkTree& tree) const {
  BUILDER_TRY(git_.run(job, {"read-tree", "--reset", "-u", commit}, in(tree)));
  return {};
}

Result<std::vector<std::string>> Mirror::list_files(
    const ports::JobContext& job, const WorkTree& tree,
    const std::vector<std::string>& selection) const {
  std::vector<std::string> arguments{"ls-files", "-z"};
  arguments.insert(arguments.end(), selection.begin(), selection.end());
  BUILDER_TRY_ASSIGN(const std::string listed, git_.run(job, arguments, in(tree)));
  std::vector<std::string> entries;
  for (std::size_t at = 0; at < listed.size(); at += entries.back().size() + 1) {
    entries.push_back(listed.substr(at, listed.find('\0', at) - at));
  }
  return entries;
}

GitProcess::Options Mirror::in(const WorkTree& tree) const {
  GitProcess::Options options;
  options.git_dir = folder_;
  options.work_tree = tree.folder;
  options.index_file = tree.index_file;
  options.warnings = &events_;
  return options;
}

}  // namespace builder::adapters::git
