#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace builder {

/// Where a program finds `Command::shared`.
constexpr int k_shared_fd = 4;

/// A program to run. No shell is involved: `arguments` reach the program as they are.
struct Command {
  std::vector<std::string> arguments;    ///< The program (found in PATH) first.
  std::vector<std::string> environment;  ///< `NAME=value`; nothing else is passed on.
  std::string directory;                 ///< Empty: ours.
  std::string input;                     ///< Given on stdin; at most 64 KiB. Empty: /dev/null.
  int held = -1;                         ///< A descriptor it and its children keep open: a lock.
  int shared = -1;                       ///< A descriptor they find as `k_shared_fd`.
  std::uint64_t largest_file = 0;  ///< Bytes; a longer write ends the program (SIGXFSZ). 0: any.
  /// How many bytes of private memory each of its processes may have (RLIMIT_DATA). 0: no
  /// limit.
  std::uint64_t largest_memory = 0;
};

struct Finished {
  int exit_code = 0;  ///< 128 + signal when a signal ended it.
};

using OutputSink = std::function<void(std::string_view)>;

/// Runs a program in a process group of its own and waits for it. Output goes to the sinks in
/// chunks as it comes, on the calling thread. On stop (`cancelled`) or at the deadline
/// (`timed_out`) the whole group gets SIGTERM, after a short grace SIGKILL; nothing of it is left
/// when this returns.
Result<Finished> run_process(const Command& command, const OutputSink& out, const OutputSink& err,
                             const std::stop_token& stop, SteadyTime deadline);

/// An anonymous file in memory that holds `text` and cannot be changed. A process that has its
/// descriptor can read it any number of times, through /proc/self/fd.
Result<Fd> make_memory_file(std::string_view text);

/// A program that takes questions on its stdin and answers on its stdout while the object lives.
/// Its stderr is dropped. The destructor kills and reaps it. Used by one thread at a time.
class Coprocess {
 public:
  /// `command.input` is not used.
  static Result<Coprocess> start(const Command& command);
  Coprocess(Coprocess&&) noexcept;
  Coprocess& operator=(Coprocess&&) noexcept;
  ~Coprocess();

  /// Errors of both: `timed_out`, `cancelled`; `internal` when the program has ended or closed its
  /// side.
  Result<> write(std::string_view request, const std::stop_token& stop, SteadyTime deadline);
  /// Waits for output and reads what is there into `buffer`. Returns 0 at the end of the output.
  Result<std::size_t> read(std::span<char> buffer, const std::stop_token& stop,
                           SteadyTime deadline);

 private:
  struct Program;
  explicit Coprocess(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace builder
