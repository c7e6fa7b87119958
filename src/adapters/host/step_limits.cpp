#include "adapters/host/step_limits.hpp"

#include "adapters/host/cgroup_tree.hpp"
#include "base/fd.hpp"
#include "base/size.hpp"
#include "base/stop.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

namespace builder::adapters::host {

namespace {

using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;

/// While a step's command is not known yet: runc sets the container up first.
constexpr std::chrono::milliseconds k_command_interval{50};
/// Of a process: the kernel takes arguments of 128 KiB each, and a step's command is one of them.
constexpr std::size_t k_longest_command = 256UL * 1'024;
/// Of all processes of a group: a step may have thousands, with as long arguments as it likes.
constexpr std::size_t k_most_of_commands = 1UL << 20U;
/// A command that took so long ran in a group that should have been seen, and is known by now or
/// never.
constexpr std::chrono::seconds k_noticeable{2};
/// Who has nothing but the defaults lets those go first who were told a limit: of two that read and
/// write at once, the looser one would come last half of the time.
constexpr std::chrono::milliseconds k_courtesy{20};

std::uint64_t number_in(const std::string& text, std::string_view name = "") {
  const auto found = name.empty() ? 0 : text.find(std::string(name) + " ");
  if (found == std::string::npos) {
    return 0;
  }
  std::uint64_t value = 0;
  const char* const begin = text.data() + found + (name.empty() ? 0 : name.size() + 1);
  std::from_chars(begin, text.data() + text.size(), value);
  return value;
}

/// Whether a step of this name runs a process: "[build 2/4] RUN make".
bool is_command(std::string_view step) {
  return step.starts_with('[') && step.contains("RUN ");
}

/// What a group's processes were started with: the end of the step's name, word for word, if it is
/// a shell's command, or written as a list.
using Commands = std::vector<std::string>;

bool runs(const std::string& step, const Commands& commands) {
  return is_command(step) && std::ranges::any_of(commands, [&](const std::string& command) {
           return step.ends_with(command) || step.ends_with("\"" + command + "\"]");
         });
}

/// The last of a process's arguments (the text of `sh -c`), and all of them.
Commands commands_of(const std::string& arguments) {
  std::string all = arguments;
  while (all.ends_with('\0')) {
    all.pop_back();
  }
  // What has not become the step's process yet.
  if (all.empty() || all.ends_with(std::string("\0init", 5))) {
    return {};
  }
  std::string last = all.substr(all.rfind('\0') + 1);
  std::ranges::replace(all, '\0', ' ');
  return {std::move(last), std::move(all)};
}

/// A step's group with a limit of memory.
struct Step {
  Commands commands = {};
  std::set<int> solves = {};  ///< That are known to run it.
  Clock::time_point began = Clock::now();
  Fd reached = {};          ///< Version 1: counts, and once more when the group goes.
  std::uint64_t count = 0;  ///< What it has counted.
  bool gone = false;
  bool killed = false;
};

class StepLimits final : public ports::BuildLimits {
 public:
  StepLimits(CgroupSettings settings, Log log)
      : settings_(std::move(settings)), tree_(settings_.root), log_(std::move(log)) {}

  Result<> prepare() {
    if (::access(tree_.file("memory", "", "cgroup.procs").c_str(), R_OK) != 0) {
      return failure(ErrorKind::not_found,
                     "this machine has no control groups for memory in " + settings_.root);
    }
    if (tree_.is_v2() && ::access(tree_.file("", "", "cgroup.type").c_str(), F_OK) == 0) {
      return failure(ErrorKind::denied,
                     "the worker runs in a container and does not see the engine's control groups");
    }
    if (!settings_.limits.any()) {
      return {};
    }
    for (const std::string_view controller : limited()) {
      const std::string file = tree_.file(controller, "", "cgroup.procs");
      // With the capabilities that it has, which access() leaves out.
      if (::faccessat(AT_FDCWD, file.c_str(), W_OK, AT_EACCESS) != 0) {
        return errno_failure("write " + file);
      }
    }
    notify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!notify_) {
      return errno_failure("watch control groups");
    }
    for (const std::string_view controller : limited()) {
      BUILDER_TRY(watch_below(controller, ""));
    }
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    return {};
  }

  std::unique_ptr<ports::WatchedSolve> watch(const domain::DeploymentId& deployment) override;

  [[nodiscard]] std::optional<nanoseconds> cpu_time(
      const domain::DeploymentId& deployment) const override {
    const std::scoped_lock lock(mutex_);
    std::vector<const Solve*> own;
    for (const Solve& solve : solves_) {
      if (solve.deployment == deployment.str()) {
        own.push_back(&solve);
      }
    }
    if (own.empty()) {
      return std::nullopt;
    }
    const std::vector<Group> groups = groups_that_live();
    // Of a step that a group is seen to run everything is known. Else it could be in each group of
    // which nobody is known; there may be many, of others that build on this machine.
    const auto is_hidden = [&](const std::string& step) {
      return is_command(step) && std::ranges::none_of(groups, [&](const Group& group) {
               return runs(step, group.commands);
             });
    };
    const bool has_hidden =
        std::ranges::any_of(own, [&](const Solve* solve) { return solve->runs_any(is_hidden); });
    nanoseconds used{0};
    for (const Group& group : groups) {
      const auto is_run = [&](const std::string& step) { return runs(step, group.commands); };
      const auto runs_it = [&](const Solve& solve) { return solve.runs_any(is_run); };
      if (std::ranges::any_of(own, [&](const Solve* solve) { return runs_it(*solve); }) ||
          (has_hidden && std::ranges::none_of(solves_, runs_it))) {
        used += group.used;
      }
    }
    return used;
  }

 private:
  struct Solve {
    int number = 0;
    std::string deployment;
    Clock::time_point began = Clock::now();
    std::map<std::uint32_t, std::pair<std::string, Clock::time_point>> running = {};
    std::set<std::string> commands = {};  ///< Names of all steps that ran one.

    template <class IsWanted>
    [[nodiscard]] bool runs_any(const IsWanted& is_wanted) const {
      return std::ranges::any_of(running,
                                 [&](const auto& step) { return is_wanted(step.second.first); });
    }
  };

  /// Of a step that runs now, whoever began it.
  struct Group {
    Commands commands;
    nanoseconds used;
  };

  class Watched;

  [[nodiscard]] std::vector<Group> groups_that_live() const {
    std::vector<Group> found;
    const std::string_view controller = tree_.is_v2() ? "cpu" : "cpuacct";
    for (const std::string& group : tree_.steps(controller)) {
      // An engine that was killed leaves groups in which nothing runs.
      if (!read_control(tree_.file(controller, group, "cgroup.procs")).empty()) {
        found.push_back({.commands = commands_in(controller, group), .used = used_by(group)});
      }
    }
    return found;
  }

  [[nodiscard]] Commands commands_in(std::string_view controller, const std::string& group) const {
    Commands commands;
    std::size_t room = k_most_of_commands;
    std::istringstream processes(read_control(tree_.file(controller, group, "cgroup.procs")));
    for (std::string id; room > 0 && processes >> id;) {
      const std::string arguments =
          read_control(settings_.processes + "/" + id + "/cmdline", k_longest_command);
      room -= std::min(room, arguments.size());
      // One that was cut is no step's command.
      if (arguments.size() < k_longest_command) {
        const Commands found = commands_of(arguments);
        commands.insert(commands.end(), found.begin(), found.end());
      }
    }
    return commands;
  }

  [[nodiscard]] nanoseconds used_by(const std::string& group) const {
    return tree_.is_v2()
               ? nanoseconds(1'000 * number_in(read_control(tree_.file("cpu", group, "cpu.stat")),
                                               "usage_usec"))
               : nanoseconds(
                     number_in(read_control(tree_.file("cpuacct", group, "cpuacct.usage"))));
  }

  /// The trees in which a limit has to be written; version 2 has one for all.
  [[nodiscard]] std::vector<std::string_view> limited() const {
    const CgroupLimits& limits = settings_.limits;
    if (tree_.is_v2()) {
      return {""};
    }
    std::vector<std::string_view> controllers;
    if (limits.memory > 0) {
      controllers.emplace_back("memory");
    }
    if (limits.cpus > 0) {
      controllers.emplace_back("cpu");
    }
    if (limits.pids > 0) {
      controllers.emplace_back("pids");
    }
    return controllers;
  }

  /// Hears of every group made below this one, at any depth: where an engine puts its steps is told
  /// by its configuration only.
  Result<> watch_below(std::string_view controller, const std::string& group) {
    const std::string folder = tree_.hierarchy(controller) + group;
    const int id = ::inotify_add_watch(notify_.get(), folder.c_str(), IN_CREATE | IN_ONLYDIR);
    if (id < 0) {
      return errno == ENOENT ? Result<>() : errno_failure("watch " + folder);
    }
    watched_[id] = {controller, group};
    for (const std::string& name : tree_.below(controller, group)) {
      BUILDER_TRY(appeared(controller, group + "/" + name));
    }
    return {};
  }

  Result<> appeared(std::string_view controller, const std::string& group) {
    if (!is_step_group(group)) {
      return watch_below(controller, group);
    }
    // Others that build here are left alone, unless a build of ours could have begun the step.
    {
      const std::scoped_lock lock(mutex_);
      if (solves_.empty()) {
        return {};
      }
      seen_ = true;
    }
    if (!settings_.asked_for) {
      sleep_for(k_courtesy, {});
    }
    const std::scoped_lock lock(mutex_);
    return limit(controller, group);
  }

  Result<> limit(std::string_view controller, const std::string& group) {
    const auto concerns = [&](std::string_view other) {
      return tree_.is_v2() || controller == other;
    };
    const auto set = [&](std::string_view name, const std::string& value) {
      return write_control(tree_.file(controller, group, name), value);
    };
    // Another worker's or the engine's own limit may be lower: it stays.
    const auto lower = [&](std::string_view name, std::uint64_t most,
                           std::string_view behind = {}) {
      const std::string now = read_control(tree_.file(controller, group, name));
      const std::uint64_t number = number_in(now);
      return number > 0 && number <= most ? Result<>()
                                          : set(name, fmt::format("{}{}", most, behind));
    };
    const CgroupLimits& limits = settings_.limits;
    const std::string period = std::to_string(CgroupLimits::k_cpu_period);
    if (limits.memory > 0 && concerns("memory")) {
      note_kills(group);
      BUILDER_TRY(lower(tree_.is_v2() ? "memory.max" : "memory.limit_in_bytes", limits.memory));
      // Kernels may count no swap; then none can be denied.
      [[maybe_unused]] const auto no_swap =
          tree_.is_v2() ? set("memory.swap.max", "0")
                        : lower("memory.memsw.limit_in_bytes", limits.memory);
    }
    if (limits.cpus > 0 && concerns("cpu")) {
      if (tree_.is_v2()) {
        BUILDER_TRY(lower("cpu.max", limits.cpu_quota(), " " + period));
      } else {
        BUILDER_TRY(set("cpu.cfs_period_us", period));
        BUILDER_TRY(lower("cpu.cfs_quota_us", limits.cpu_quota()));
      }
    }
    if (limits.pids > 0 && concerns("pids")) {
      BUILDER_TRY(lower("pids.max", limits.pids));
    }
    return {};
  }

  /// The counters of a step's group go with it, before the step's end is told: the kernel is asked
  /// to say when they change.
  void note_kills(const std::string& group) {
    Step& step = steps_.try_emplace(group).first->second;
    if (tree_.is_v2()) {
      ::inotify_add_watch(notify_.get(), tree_.file("", group, "memory.events").c_str(), IN_MODIFY);
    } else if (!step.reached) {
      step.reached = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
      const Fd control(
          ::open(tree_.file("memory", group, "memory.oom_control").c_str(), O_RDONLY | O_CLOEXEC));
      [[maybe_unused]] const auto asked =
          write_control(tree_.file("memory", group, "cgroup.event_control"),
                        fmt::format("{} {}", step.reached.get(), control.get()));
    }
  }

  void look_at(const std::string& group, Step& step) const {
    // In this order: a group that is still there did not count its own end.
    std::uint64_t more = 0;
    if (tree_.is_v2()) {
      step.count = number_in(read_control(tree_.file("", group, "memory.events")), "oom_kill");
    } else if (::read(step.reached.get(), &more, sizeof more) == sizeof more) {
      step.count += more;
    }
    step.gone = ::access((tree_.hierarchy("memory") + group).c_str(), F_OK) != 0;
    step.killed = step.killed || step.count > (step.gone && !tree_.is_v2() ? 1 : 0);
    if (!step.gone && step.commands.empty()) {
      step.commands = commands_in("memory", group);
    }
    for (const Solve& solve : solves_) {
      if (std::ranges::any_of(solve.commands,
                              [&](const std::string& name) { return runs(name, step.commands); })) {
        step.solves.insert(solve.number);
      }
    }
  }

  void run(const std::stop_token& stop) {
    const StopFd stop_fd(stop);
    for (;;) {
      std::vector<pollfd> fds{{.fd = notify_.get(), .events = POLLIN, .revents = 0}};
      auto until = SteadyTime::max();
      {
        const std::scoped_lock lock(mutex_);
        for (const auto& [group, step] : steps_) {
          // Its last word has been heard: a counter that nobody reads stays ready.
          fds.push_back(
              {.fd = step.gone ? -1 : step.reached.get(), .events = POLLIN, .revents = 0});
          if (!step.gone && step.commands.empty() && Clock::now() < step.began + k_noticeable) {
            until = Clock::now() + k_command_interval;
          }
        }
      }
      if (wait_any(fds, stop_fd, until) == WaitResult::stopped) {
        return;
      }
      {
        const std::scoped_lock lock(mutex_);
        for (auto& [group, step] : steps_) {
          look_at(group, step);
        }
      }
      read_events();
    }
  }

  void read_events() {
    alignas(inotify_event) std::array<char, 16'384> buffer{};
    for (;;) {
      const auto size = ::read(notify_.get(), buffer.data(), buffer.size());
      if (size <= 0) {
        return;
      }
      for (std::ptrdiff_t at = 0; at < size;) {
        inotify_event event{};
        std::memcpy(&event, buffer.data() + at, sizeof event);
        const char* const name = buffer.data() + at + sizeof event;
        at += static_cast<std::ptrdiff_t>(sizeof event + event.len);
        handle(event, event.len > 0 ? name : "");
      }
    }
  }

  void handle(const inotify_event& event, const std::string& name) {
    Result<> done;
    std::string folder;
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      for (const std::string_view controller : limited()) {
        done = done ? watch_below(controller, "") : done;
      }
    } else if ((event.mask & IN_IGNORED) != 0) {
      watched_.erase(event.wd);
    } else if (const auto found = watched_.find(event.wd);
               found != watched_.end() && (event.mask & IN_ISDIR) != 0) {
      const auto [controller, group] = found->second;
      folder = tree_.hierarchy(controller) + group + "/" + name;
      done = appeared(controller, group + "/" + name);
    }
    // A step that was over at once needs no limits.
    if (!done && ::access(folder.c_str(), F_OK) == 0) {
      log_.error("a step runs without its limits: {}", done.error().message);
    }
  }

  /// Whether one of the solve's steps was killed, as far as its command can be known.
  bool is_exhausted(const Solve& own) {
    const std::scoped_lock lock(mutex_);
    return std::ranges::any_of(steps_, [&](auto& entry) {
      Step& step = entry.second;
      look_at(entry.first, step);
      return step.killed && step.began >= own.began &&
             (step.solves.empty() || step.solves.contains(own.number));
    });
  }

  /// The steps that are over are of interest to the solves that ran beside them only.
  void close(std::list<Solve>::iterator solve) {
    const std::scoped_lock lock(mutex_);
    solves_.erase(solve);
    for (auto& [group, step] : steps_) {
      look_at(group, step);
    }
    std::erase_if(steps_, [&](const auto& entry) {
      return entry.second.gone && std::ranges::none_of(solves_, [&](const Solve& other) {
               return other.began <= entry.second.began;
             });
    });
  }

  /// A command ran for `time`.
  void ran(Clock::duration time) {
    if (settings_.asked_for && thread_.joinable() && time > k_noticeable && !seen_ &&
        !std::exchange(told_, true)) {
      log_.warning(
          "BUILD_MEMORY, BUILD_CPUS and BUILD_PIDS: the control groups of the engine's steps are "
          "not to be seen in {}; only what the engine itself can limit is limited",
          settings_.root);
    }
  }

  const CgroupSettings settings_;
  const CgroupTree tree_;
  const Log log_;
  /// Guards the next five. Held while the kernel's files are read, which wait for nobody.
  mutable std::mutex mutex_;
  std::list<Solve> solves_;
  int next_number_ = 0;
  std::map<std::string, Step> steps_;
  bool seen_ = false;
  bool told_ = false;
  Fd notify_;
  std::map<int, std::pair<std::string_view, std::string>> watched_;  ///< The thread's alone.
  std::jthread thread_;                                              // Last: it uses the above.
};

class StepLimits::Watched final : public ports::WatchedSolve {
 public:
  Watched(StepLimits& owner, const std::string& deployment) : owner_(owner) {
    const std::scoped_lock lock(owner_.mutex_);
    solve_ = owner_.solves_.insert(
        owner_.solves_.end(), Solve{.number = owner_.next_number_++, .deployment = deployment});
  }

  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  ~Watched() override { owner_.close(solve_); }

  void step_started(std::uint32_t step, const std::string& name) override {
    const std::scoped_lock lock(owner_.mutex_);
    solve_->running.insert_or_assign(step, std::pair(name, Clock::now()));
    if (is_command(name)) {
      solve_->commands.insert(name);
    }
  }

  void step_ended(std::uint32_t step) override {
    const std::scoped_lock lock(owner_.mutex_);
    if (const auto found = solve_->running.find(step); found != solve_->running.end()) {
      if (is_command(found->second.first)) {
        owner_.ran(Clock::now() - found->second.second);
      }
      solve_->running.erase(found);
    }
  }

  [[nodiscard]] std::optional<std::string> exhausted_memory() const override {
    return owner_.is_exhausted(*solve_) ? std::optional(format_size(owner_.settings_.limits.memory))
                                        : std::nullopt;
  }

 private:
  StepLimits& owner_;
  std::list<Solve>::iterator solve_;
};

std::unique_ptr<ports::WatchedSolve> StepLimits::watch(const domain::DeploymentId& deployment) {
  return std::make_unique<Watched>(*this, deployment.str());
}

}  // namespace

CgroupLimits default_limits() {
  constexpr std::uint64_t k_most_pids = 16'384;
  constexpr std::uint64_t k_least_reserve = 512ULL << 20U;
  constexpr std::uint64_t k_most_reserve = 4ULL << 30U;
  const auto total = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES))) *
                     static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  const std::uint64_t reserve =
      std::min(std::clamp(total / 10, k_least_reserve, k_most_reserve), total / 2);
  constexpr std::uint64_t k_mib = 1ULL << 20U;
  return {.memory = (total - reserve) / k_mib * k_mib, .pids = k_most_pids};
}

Result<std::unique_ptr<ports::BuildLimits>> make_step_limits(CgroupSettings settings, Log log) {
  auto limits = std::make_unique<StepLimits>(std::move(settings), std::move(log));
  BUILDER_TRY(limits->prepare());
  return limits;
}

}  // namespace builder::adapters::host
