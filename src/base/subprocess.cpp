#include "base/subprocess.hpp"

#include "base/check.hpp"
#include "base/fd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace builder {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds k_grace{100};
/// A grandchild may keep the pipes open after the program has ended.
constexpr std::chrono::milliseconds k_output_patience{500};
/// What is killed and keeps a pipe open this long sits in the kernel; nobody can wait for that.
constexpr std::chrono::milliseconds k_burial{200};
constexpr std::size_t k_chunk = 64 * 1024;
constexpr std::size_t k_largest_input = 64 * 1024;

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) {
    return errno_failure("pipe");
  }
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

class SpawnActions {
 public:
  SpawnActions() { BUILDER_CHECK(::posix_spawn_file_actions_init(&actions_) == 0); }

  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }

  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;

  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

class SpawnAttributes {
 public:
  SpawnAttributes() {
    BUILDER_CHECK(::posix_spawnattr_init(&attributes_) == 0);
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }

  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }

  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;

  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (const std::string& text : strings) {
    all.push_back(const_cast<char*>(text.c_str()));
  }
  all.push_back(nullptr);
  return all;
}

/// A started program. Only its owner signals it, and reaps it last, so that a recycled pid can
/// never be hit.
class Child {
 public:
  Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  ~Child() {
    if (pid_ > 0) {
      signal(SIGKILL);
      [[maybe_unused]] const int code = reap();
    }
  }

  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

  void signal(int number) const { ::kill(-pid_, number); }

  /// The leader has ended or was killed. What it left in its group goes too, before it is reaped:
  /// until then the number of the group cannot belong to anybody else.
  int reap() {
    signal(SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
  Fd pidfd_;
};

/// Reads what is there; false at the end of the stream.
bool pump(Fd& fd, const OutputSink& sink, std::string& buffer) {
  buffer.resize(k_chunk);
  const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
  if (count > 0) {
    if (sink) {
      sink(std::string_view(buffer).substr(0, static_cast<std::size_t>(count)));
    }
    return true;
  }
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
    return true;
  }
  fd.reset();
  return false;
}

Result<Fd> standard_input(const Command& command) {
  if (command.input.empty()) {
    Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null) {
      return errno_failure("open /dev/null");
    }
    return null;
  }
  BUILDER_CHECK(command.input.size() <= k_largest_input);
  BUILDER_TRY_ASSIGN(Pipe pipe, make_pipe());
  // A pipe holds 64 KiB: this cannot block.
  if (::write(pipe.write.get(), command.input.data(), command.input.size()) < 0) {
    return errno_failure("write to the program");
  }
  return std::move(pipe.read);
}

Result<pid_t> spawn(const Command& command, int in, int out, int err) {
  SpawnActions actions;
  ::posix_spawn_file_actions_adddup2(actions.get(), in, 0);
  ::posix_spawn_file_actions_adddup2(actions.get(), out, 1);
  ::posix_spawn_file_actions_adddup2(actions.get(), err, 2);
  if (!command.directory.empty()) {
    ::posix_spawn_file_actions_addchdir_np(actions.get(), command.directory.c_str());
  }
  constexpr int k_held_fd = 3;
  static_assert(k_shared_fd == k_held_fd + 1);
  // Out of the way of the numbers that are given out here.
  const Fd shared(command.shared < 0 ? -1
                                     : ::fcntl(command.shared, F_DUPFD_CLOEXEC, k_shared_fd + 1));
  if (command.held >= 0 || shared) {
    ::posix_spawn_file_actions_adddup2(actions.get(), command.held >= 0 ? command.held : in,
                                       k_held_fd);
  }
  if (shared) {
    ::posix_spawn_file_actions_adddup2(actions.get(), shared.get(), k_shared_fd);
  }
  // Libraries do not always open with CLOEXEC.
  ::posix_spawn_file_actions_addclosefrom_np(actions.get(), shared              ? k_shared_fd + 1
                                                            : command.held >= 0 ? k_held_fd + 1
                                                                                : k_held_fd);
  const SpawnAttributes attributes;
  const std::vector<char*> argv = pointers(command.arguments);
  const std::vector<char*> envp = pointers(command.environment);
  pid_t pid = -1;
  const int status =
      ::posix_spawnp(&pid, argv[0], actions.get(), attributes.get(), argv.data(), envp.data());
  if (status != 0) {
    errno = status;
    return errno_failure("start " + command.arguments.front());
  }
  return pid;
}

/// Children inherit the bounds. What the program does in its first microseconds is not what they
/// are for.
void bound(pid_t pid, const Command& command) {
  const auto limit = [pid](__rlimit_resource resource, std::uint64_t most) {
    const rlimit value{.rlim_cur = most, .rlim_max = most};
    ::prlimit(pid, resource, &value, nullptr);
  };
  if (command.shared >= 0) {
    limit(RLIMIT_CORE, 0);  // What it reads there must not end in a core file.
  }
  if (command.largest_file != 0) {
    limit(RLIMIT_FSIZE, command.largest_file);
  }
  if (command.largest_memory != 0) {
    limit(RLIMIT_DATA, command.largest_memory);
  }
}

Error unanswered(WaitResult waited, const std::string& program) {
  return waited == WaitResult::stopped
             ? Error{.kind = ErrorKind::cancelled, .message = program + " was stopped"}
             : Error{.kind = ErrorKind::timed_out, .message = program + " took too long"};
}

Result<> wait_for_program(const std::string& name, std::span<pollfd> fds, const StopFd& stop,
                          SteadyTime deadline) {
  const WaitResult waited = wait_any(fds, stop, deadline);
  if (waited != WaitResult::ready) {
    return std::unexpected(unanswered(waited, name));
  }
  return {};
}

}  // namespace

Result<Finished> run_process(const Command& command, const OutputSink& out, const OutputSink& err,
                             const std::stop_token& stop, SteadyTime deadline) {
  BUILDER_TRY_ASSIGN(Fd input, standard_input(command));
  BUILDER_TRY_ASSIGN(Pipe out_pipe, make_pipe());
  BUILDER_TRY_ASSIGN(Pipe err_pipe, make_pipe());
  BUILDER_TRY_ASSIGN(const pid_t pid,
                     spawn(command, input.get(), out_pipe.write.get(), err_pipe.write.get()));
  Child child(pid, Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
  if (child.pidfd() < 0) {
    return errno_failure("watch " + command.arguments.front());
  }
  bound(pid, command);
  input.reset();
  out_pipe.write.reset();
  err_pipe.write.reset();

  const StopFd stop_fd(stop);
  std::string buffer;
  bool exited = false;
  SteadyTime until = deadline;
  for (;;) {
    std::array<pollfd, 3> fds{
        {{.fd = out_pipe.read.get(), .events = POLLIN, .revents = 0},
         {.fd = err_pipe.read.get(), .events = POLLIN, .revents = 0},
         {.fd = exited ? -1 : child.pidfd(), .events = POLLIN, .revents = 0}}};
    const bool open = out_pipe.read || err_pipe.read;
    if (exited && !open) {
      return Finished{child.reap()};
    }
    WaitResult waited = wait_any(fds, stop_fd, until);
    if (waited == WaitResult::ready && Clock::now() >= until) {
      // A program that never stops talking is always ready.
      waited = WaitResult::deadline;
    }
    if (waited == WaitResult::ready) {
      if (fds[0].revents != 0) {
        pump(out_pipe.read, out, buffer);
      }
      if (fds[1].revents != 0) {
        pump(err_pipe.read, err, buffer);
      }
      if (fds[2].revents != 0) {
        exited = true;
        until = std::min(deadline, Clock::now() + k_output_patience);
      }
      continue;
    }
    if (exited) {
      return Finished{child.reap()};
    }
    child.signal(SIGTERM);
    std::array<pollfd, 1> ended{{{.fd = child.pidfd(), .events = POLLIN, .revents = 0}}};
    const StopFd never{std::stop_token()};
    wait_any(ended, never, Clock::now() + k_grace);
    child.signal(SIGKILL);
    // Death takes the kernel a moment. Whoever still holds a pipe is not dead yet.
    const SteadyTime buried = Clock::now() + k_burial;
    while ((out_pipe.read || err_pipe.read) && Clock::now() < buried) {
      std::array<pollfd, 2> held{{{.fd = out_pipe.read.get(), .events = POLLIN, .revents = 0},
                                  {.fd = err_pipe.read.get(), .events = POLLIN, .revents = 0}}};
      if (wait_any(held, never, buried) != WaitResult::ready) {
        break;
      }
      if (held[0].revents != 0) {
        pump(out_pipe.read, {}, buffer);
      }
      if (held[1].revents != 0) {
        pump(err_pipe.read, {}, buffer);
      }
    }
    child.reap();
    return std::unexpected(unanswered(waited, command.arguments.front()));
  }
}

Result<Fd> make_memory_file(std::string_view text) {
  Fd fd(::memfd_create("builder", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) {
    return errno_failure("memfd_create");
  }
  while (!text.empty()) {
    const ssize_t count = ::write(fd.get(), text.data(), text.size());
    if (count < 0) {
      return errno_failure("write to memory");
    }
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  return fd;
}

struct Coprocess::Program {
  std::string name;
  Fd channel;
  Child child;  // Last: it is killed before the channel closes.
};

Coprocess::Coprocess(std::unique_ptr<Program> program) : program_(std::move(program)) {
}

Coprocess::Coprocess(Coprocess&&) noexcept = default;
Coprocess& Coprocess::operator=(Coprocess&&) noexcept = default;
Coprocess::~Coprocess() = default;

Result<Coprocess> Coprocess::start(const Command& command) {
  // A socket, since a pipe whose reader has ended would raise a signal.
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return errno_failure("socketpair");
  }
  Fd ours(ends[0]);
  const Fd its(ends[1]);
  const Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!null) {
    return errno_failure("open /dev/null");
  }
  BUILDER_TRY_ASSIGN(const pid_t pid, spawn(command, its.get(), its.get(), null.get()));
  bound(pid, command);
  return Coprocess(std::unique_ptr<Program>(
      new Program{.name = command.arguments.front(),
                  .channel = std::move(ours),
                  .child = Child(pid, Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))))}));
}

Result<> Coprocess::write(std::string_view request, const std::stop_token& stop,
                          SteadyTime deadline) {
  const StopFd stop_fd(stop);
  while (!request.empty()) {
    const ssize_t count = ::send(program_->channel.get(), request.data(), request.size(),
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      request.remove_prefix(static_cast<std::size_t>(count));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) {
      return failure(ErrorKind::internal, program_->name + " ended too early");
    }
    std::array<pollfd, 1> fds{{{.fd = program_->channel.get(), .events = POLLOUT, .revents = 0}}};
    BUILDER_TRY(wait_for_program(program_->name, fds, stop_fd, deadline));
  }
  return {};
}

Result<std::size_t> Coprocess::read(std::span<char> buffer, const std::stop_token& stop,
                                    SteadyTime deadline) {
  const StopFd stop_fd(stop);
  for (;;) {
    std::array<pollfd, 1> fds{{{.fd = program_->channel.get(), .events = POLLIN, .revents = 0}}};
    BUILDER_TRY(wait_for_program(program_->name, fds, stop_fd, deadline));
    const ssize_t count = ::read(program_->channel.get(), buffer.data(), buffer.size());
    if (count >= 0) {
      return static_cast<std::size_t>(count);
    }
    if (errno != EINTR) {
      return errno_failure("read from " + program_->name);
    }
  }
}

}  // namespace builder
