#pragma once

#include <openssl/crypto.h>

#include <string>
#include <string_view>
#include <utility>

namespace builder {

/// A value that must not be shown. It has no stream operator and no formatter. Code that needs the
/// text calls `reveal()`, which is easy to search for. Wiped when destroyed.
class Secret {
 public:
  Secret() = default;

  explicit Secret(std::string value) : value_(std::move(value)) {}

  Secret(const Secret&) = default;
  Secret(Secret&&) noexcept = default;
  Secret& operator=(const Secret&) = default;
  Secret& operator=(Secret&&) noexcept = default;

  ~Secret() { OPENSSL_cleanse(value_.data(), value_.size()); }

  [[nodiscard]] const std::string& reveal() const { return value_; }

  [[nodiscard]] bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

}  // namespace builder
