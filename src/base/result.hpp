#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace builder {

/// What the caller should do about a failure, not where it happened.
enum class ErrorKind {
  invalid_input,  ///< The request itself is wrong; repeating it cannot help.
  not_found,      ///< The thing named does not exist.
  denied,         ///< Credentials are missing, wrong or not sufficient; never retried.
  conflict,       ///< Somebody else changed or holds the thing.
  unavailable,    ///< The peer is away or overloaded; may be retried.
  timed_out,      ///< No answer in time; may be retried.
  cancelled,      ///< We were asked to stop. An outcome, not a fault: not logged as an error.
  build_failed,   ///< The customer's build failed; the service itself is fine.
  internal,       ///< A defect of ours or a peer that broke its protocol.
};

std::string_view to_string(ErrorKind kind);

/// What a call that failed may have done at the peer.
enum class Effect {
  possible,   ///< It may have done its work all the same: doing it again may do it twice.
  none,       ///< The peer refused it.
  unreached,  ///< It never left.
};

/// A failure as a value. It has two readers: `message` is the operator's (everything but secrets),
/// `customer` is the line the owner of the deployment sees (what happened, where in their
/// repository, how to mend it; no host paths, no addresses of ours). An empty `customer` means the
/// failure is not of the customer's making and gets a general line from the pipeline.
struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
  std::string customer = {};
  std::optional<std::chrono::milliseconds> retry_after = {};
  Effect effect = Effect::possible;
  /// Not empty: only the operator can mend it, every deployment would meet it, and this is the
  /// setting to look at.
  std::string setting = {};

  /// True when the same call may succeed later without anybody changing anything.
  [[nodiscard]] bool is_transient() const {
    return kind == ErrorKind::unavailable || kind == ErrorKind::timed_out;
  }

  /// The same failure, with what the caller was doing put in front: "fetching source: …".
  [[nodiscard]] Error with_context(std::string_view doing) && {
    message = std::string(doing) + ": " + message;
    return std::move(*this);
  }

  /// The same failure as the operator's; who has named a setting before knew better.
  [[nodiscard]] Error for_operator(std::string_view look_at) && {
    if (setting.empty() && kind != ErrorKind::cancelled) {
      setting = look_at;
    }
    return std::move(*this);
  }

  /// The same failure, with the customer's line set.
  [[nodiscard]] Error for_customer(std::string line) && {
    customer = std::move(line);
    return std::move(*this);
  }
};

template <class T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> failure(ErrorKind kind, std::string message) {
  return std::unexpected(Error{.kind = kind, .message = std::move(message)});
}

/// An error made of `errno`, e.g. `errno_failure("open .env")` -> "open .env: Permission denied".
/// Reads `errno` at once. ENOENT becomes not_found, EACCES/EPERM denied, the rest internal.
[[nodiscard]] std::unexpected<Error> errno_failure(std::string_view doing);

}  // namespace builder

#define BUILDER_CONCAT_INNER(a, b) a##b
#define BUILDER_CONCAT(a, b) BUILDER_CONCAT_INNER(a, b)

/// Returns the error of a Result from the enclosing function; the value, if any, is dropped.
#define BUILDER_TRY(expression)                                        \
  do {                                                                 \
    if (auto builder_try_result = (expression); !builder_try_result) { \
      return std::unexpected(std::move(builder_try_result).error());   \
    }                                                                  \
  } while (false)

/// Declares or assigns `target` from the value of a Result, or returns its error.
#define BUILDER_TRY_ASSIGN(target, expression) \
  BUILDER_TRY_ASSIGN_INNER(BUILDER_CONCAT(builder_result_, __LINE__), target, expression)
#define BUILDER_TRY_ASSIGN_INNER(result, target, expression) \
  auto result = (expression);                                \
  if (!result) {                                             \
    return std::unexpected(std::move(result).error());       \
  }                                                          \
  target = *std::move(result)
