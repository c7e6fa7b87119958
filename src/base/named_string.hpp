#pragma once

#include <compare>
#include <functional>
#include <string>
#include <utility>

namespace builder {

/// A string that is a type of its own, so that two kinds of identifier cannot be mixed up.
template <class Tag>
class NamedString {
 public:
  NamedString() = default;

  explicit NamedString(std::string value) : value_(std::move(value)) {}

  [[nodiscard]] const std::string& str() const { return value_; }

  [[nodiscard]] bool empty() const { return value_.empty(); }

  friend auto operator<=>(const NamedString&, const NamedString&) = default;

 private:
  std::string value_;
};

}  // namespace builder

template <class Tag>
struct std::hash<builder::NamedString<Tag>> {
  std::size_t operator()(const builder::NamedString<Tag>& value) const noexcept {
    return std::hash<std::string>{}(value.str());
  }
};
