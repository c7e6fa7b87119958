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

/// What a failed call may have done at the peer.
enum class Effect {
  possible,   ///< It may have done its work all the same: doing it again may do it twice.
  none,       ///< The peer refused it.
  unreached,  ///< It never left.
};

/// A failure as a value, for two readers. `message` is for the operator and may say everything but
/// secrets. `customer` is the line that the owner of the deployment sees: what happened, where in
/// their repository, how to mend it; no host paths, no addresses of ours. If `customer` is empty,
/// the failure is not the customer's, and the pipeline shows a general line.
struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
  std::string customer = {};
  std::optional<std::chrono::milliseconds> retry_after = {};
  Effect effect = Effect::possible;
  /// The setting that the operator has to look at. If it is set, only the operator can mend the
  /// failure, and every deployment would meet it (but see below).
  std::string setting = {};
  /// With a `setting`: only deployments of this service meet it.
  bool of_one_service = false;
  /// The last output of the customer's program that failed, not yet redacted. It is shown after
  /// `customer`.
  std::string last_words = {};

  /// True when the same call may succeed later without anybody changing anything.
  [[nodiscard]] bool is_transient() const {
    return kind == ErrorKind::unavailable || kind == ErrorKind::timed_out;
  }

  /// The same failure, with what the caller was doing in front: "fetching source: …".
  [[nodiscard]] Error with_context(std::string_view doing) && {
    message = std::string(doing) + ": " + message;
    return std::move(*this);
  }

  /// The same failure as one for the operator; a setting that was named before stays.
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
