#include "adapters/host/build_cgroups.hpp"

#include "adapters/host/cgroup_tree.hpp"
#include "base/fd.hpp"
#include "base/size.hpp"
#include "base/sync.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <map>
#include <set>
#include <utility>

namespace builder::adapters::host {

namespace {

using std::chrono::nanoseconds;

constexpr const char* k_prefix = "deployra-build-";
constexpr const char* k_v1_parent = "/deployra-builder";
/// Younger groups without a lock may belong to a process that is about to lock them.
constexpr std::time_t k_settled_seconds = 60;

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

class Cgroups;

class Room final : public ports::BuildRoom {
 public:
  Room(Cgroups& owner, std::string group, Fd lock, Fd killed)
      : owner_(owner),
        group_(std::move(group)),
        lock_(std::move(lock)),
        killed_(std::move(killed)) {}

  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() override;

  [[nodiscard]] std::string cgroup_parent() const override { return group_; }

  [[nodiscard]] std::optional<std::string> exhausted_memory() const override;

 private:
  Cgroups& owner_;
  const std::string group_;
  Fd lock_;    ///< Tells other processes that the group is in use.
  Fd killed_;  ///< Version 1: counts.
};

class Cgroups final : public ports::BuildLimits {
 public:
  Cgroups(CgroupSettings settings, Log log)
      : settings_(std::move(settings)), tree_(settings_.root), log_(std::move(log)) {}

  /// Finds the group to make others below, and tries it out.
  Result<> prepare() {
    base_ = settings_.parent;
    if (base_.empty() && tree_.is_v2() && settings_.own_group != "/") {
      base_ = settings_.own_group;
      BUILDER_TRY(step_aside());
    } else if (base_.empty()) {
      if (tree_.is_v2() && !read_control(tree_.file("", "", "cgroup.type")).empty()) {
        return failure(ErrorKind::denied,
                       "the worker runs in a container, and cannot know the group's name outside; "
                       "set BUILD_CGROUP_PARENT to one that you made");
      }
      base_ = k_v1_parent;
    }
    BUILDER_TRY(tree_.make(base_));
    BUILDER_TRY(tree_.delegate(base_));
    remove_leftovers();
    BUILDER_TRY_ASSIGN(const auto probe, make_room("probe"));
    return {};
  }

  std::unique_ptr<ports::BuildRoom> open(const domain::DeploymentId& deployment) override {
    auto room = make_room(deployment.str());
    if (!room) {
      log_.error("deployment={} builds without limits: {}", deployment.str(), room.error().message);
      return nullptr;
    }
    return *std::move(room);
  }

  [[nodiscard]] std::optional<nanoseconds> cpu_time(
      const domain::DeploymentId& deployment) const override {
    std::set<std::string> groups;
    {
      auto open = open_.lock();
      for (const auto& [group, id] : *open) {
        if (id == deployment.str()) {
          groups.insert(group);
        }
      }
    }
    if (groups.empty()) {
      return std::nullopt;
    }
    nanoseconds used{0};
    for (const std::string& group : groups) {
      used +=
          tree_.is_v2()
              ? nanoseconds(1'000 * number_in(read_control(tree_.file("cpu", group, "cpu.stat")),
                                              "usage_usec"))
              : nanoseconds(number_in(read_control(tree_.file("cpuacct", group, "cpuacct.usage"))));
    }
    return used;
  }

  void close(const std::string& group) {
    open_.lock()->erase(group);
    std::set<std::string> waiting = std::exchange(*leftovers_.lock(), {});
    waiting.insert(group);
    // Killed processes take a moment to be gone: the next build tries again.
    std::erase_if(waiting, [this](const std::string& name) { return tree_.remove(name); });
    leftovers_.lock()->insert(waiting.begin(), waiting.end());
  }

  [[nodiscard]] const CgroupTree& tree() const { return tree_; }

  [[nodiscard]] std::uint64_t memory_limit() const { return settings_.limits.memory; }

 private:
  /// By version 2 a group holds processes or groups with limits, not both: ours goes one deeper.
  Result<> step_aside() {
    const std::string inner = base_ + "/worker";
    BUILDER_TRY(tree_.make(inner));
    return write_control(tree_.file("", inner, "cgroup.procs"), std::to_string(::getpid()));
  }

  void remove_leftovers() {
    for (const std::string& name : tree_.below(base_)) {
      const std::string group = base_ + "/" + name;
      struct stat status{};
      const Fd lock(::open(tree_.folder(group).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (name.starts_with(k_prefix) && lock && ::fstat(lock.get(), &status) == 0 &&
          ::time(nullptr) - status.st_mtime > k_settled_seconds &&
          ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
        log_.info("control group {} is left of a process that died", group);
        close(group);
      }
    }
  }

  Result<std::unique_ptr<Room>> make_room(const std::string& deployment) {
    const std::string group = base_ + "/" + k_prefix + random_hex(8);
    BUILDER_TRY(tree_.make(group));
    Fd lock(::open(tree_.folder(group).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ::flock(lock.get(), LOCK_SH | LOCK_NB);
    open_.lock()->emplace(group, deployment);
    auto room = std::make_unique<Room>(*this, group, std::move(lock), count_kills(group));
    BUILDER_TRY(apply(group));
    return room;
  }

  Result<> apply(const std::string& group) const {
    const auto set = [&](std::string_view controller, std::string_view name,
                         const std::string& value) {
      return write_control(tree_.file(controller, group, name), value);
    };
    const CgroupLimits& limits = settings_.limits;
    const std::string memory = std::to_string(limits.memory);
    const std::string quota = std::to_string(limits.cpu_quota());
    const std::string period = std::to_string(CgroupLimits::k_cpu_period);
    if (limits.memory > 0) {
      BUILDER_TRY(set("memory", tree_.is_v2() ? "memory.max" : "memory.limit_in_bytes", memory));
      // Kernels may count no swap; then none can be denied.
      [[maybe_unused]] const auto no_swap =
          tree_.is_v2() ? set("memory", "memory.swap.max", "0")
                        : set("memory", "memory.memsw.limit_in_bytes", memory);
    }
    if (limits.cpus > 0 && tree_.is_v2()) {
      BUILDER_TRY(set("cpu", "cpu.max", quota + " " + period));
    } else if (limits.cpus > 0) {
      BUILDER_TRY(set("cpu", "cpu.cfs_period_us", period));
      BUILDER_TRY(set("cpu", "cpu.cfs_quota_us", quota));
    }
    if (limits.pids > 0) {
      BUILDER_TRY(set("pids", "pids.max", std::to_string(limits.pids)));
    }
    return {};
  }

  /// Version 1 keeps its counter of kills in the step's own group, which goes with the step; but it
  /// tells that a limit was reached to whoever asked.
  [[nodiscard]] Fd count_kills(const std::string& group) const {
    if (tree_.is_v2()) {
      return {};
    }
    Fd counter(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    const Fd control(
        ::open(tree_.file("memory", group, "memory.oom_control").c_str(), O_RDONLY | O_CLOEXEC));
    [[maybe_unused]] const auto asked =
        write_control(tree_.file("memory", group, "cgroup.event_control"),
                      fmt::format("{} {}", counter.get(), control.get()));
    return counter;
  }

  const CgroupSettings settings_;
  const CgroupTree tree_;
  const Log log_;
  std::string base_;
  mutable Sync<std::map<std::string, std::string>> open_;  ///< Group -> deployment.
  Sync<std::set<std::string>> leftovers_;
};

Room::~Room() {
  lock_.reset();
  owner_.close(group_);
}

std::optional<std::string> Room::exhausted_memory() const {
  if (owner_.memory_limit() == 0) {
    return std::nullopt;
  }
  std::uint64_t count = 0;
  if (owner_.tree().is_v2()) {
    count =
        number_in(read_control(owner_.tree().file("memory", group_, "memory.events")), "oom_kill");
  } else if (::read(killed_.get(), &count, sizeof count) != sizeof count) {
    count = 0;
  }
  return count > 0 ? std::optional(format_size(owner_.memory_limit())) : std::nullopt;
}

class FixedRoom final : public ports::BuildRoom {
 public:
  explicit FixedRoom(std::string parent) : parent_(std::move(parent)) {}

  [[nodiscard]] std::string cgroup_parent() const override { return parent_; }

  [[nodiscard]] std::optional<std::string> exhausted_memory() const override {
    return std::nullopt;
  }

 private:
  const std::string parent_;
};

class FixedCgroup final : public ports::BuildLimits {
 public:
  explicit FixedCgroup(std::string parent) : parent_(std::move(parent)) {}

  std::unique_ptr<ports::BuildRoom> open(const domain::DeploymentId&) override {
    return std::make_unique<FixedRoom>(parent_);
  }

  [[nodiscard]] std::optional<nanoseconds> cpu_time(const domain::DeploymentId&) const override {
    return std::nullopt;
  }

 private:
  const std::string parent_;
};

}  // namespace

std::string own_cgroup() {
  const std::string text = read_control("/proc/self/cgroup");
  const auto found = text.starts_with("0::") ? 0 : text.find("\n0::");
  if (found == std::string::npos) {
    return "/";
  }
  const auto start = text.find("::", found) + 2;
  return text.substr(start, text.find('\n', start) - start);
}

Result<std::unique_ptr<ports::BuildLimits>> make_build_cgroups(CgroupSettings settings, Log log) {
  auto groups = std::make_unique<Cgroups>(std::move(settings), std::move(log));
  BUILDER_TRY(groups->prepare());
  return groups;
}

std::unique_ptr<ports::BuildLimits> make_fixed_cgroup(std::string parent) {
  return std::make_unique<FixedCgroup>(std::move(parent));
}

}  // namespace builder::adapters::host
