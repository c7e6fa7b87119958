#pragma once

#include "adapters/redis/client/redis_config.hpp"
#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

struct ssl_st;

namespace builder::adapters::redis {

/// A connected byte stream: TCP or a unix socket, plain or with TLS. Every call ends at its
/// deadline or on stop. Not thread-safe.
class Transport {
 public:
  static Result<std::unique_ptr<Transport>> dial(const RedisAddress& address, const TlsConfig& tls,
                                                 const std::stop_token& stop);
  static Result<std::unique_ptr<Transport>> dial_socket(const std::string& path,
                                                        const std::stop_token& stop);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  Result<> write(std::string_view bytes, const std::stop_token& stop, SteadyTime deadline);
  /// At least one byte. `unavailable` when the peer has closed; after `timed_out` the stream can be
  /// used on.
  Result<std::size_t> read(std::span<char> buffer, const std::stop_token& stop,
                           SteadyTime deadline);

 private:
  enum class Want { nothing, readable, writable };

  struct Attempt {
    std::size_t count = 0;
    Want want = Want::nothing;
    bool failed = false;
  };

  explicit Transport(Fd fd) : fd_(std::move(fd)) {}

  Result<> start_tls(const std::string& host, const TlsConfig& tls, const std::stop_token& stop);
  Attempt try_read(std::span<char> buffer);
  Attempt try_write(std::string_view bytes);
  Attempt tls_result(int result);
  Result<> wait_until(Want want, const std::stop_token& stop, SteadyTime deadline);

  struct SslDeleter {
    void operator()(ssl_st* ssl) const;
  };

  Fd fd_;
  std::unique_ptr<ssl_st, SslDeleter> ssl_;  ///< Empty: plain.
};

}  // namespace builder::adapters::redis
