#include "adapters/image_search/tar_names.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

namespace builder::adapters::image_search {

namespace {

/// Of a pax header: names, times, and attributes that are of no interest here.
constexpr std::size_t k_longest_pax = std::size_t{64} * 1024;
constexpr std::uint64_t k_largest = std::uint64_t{1} << 62U;

std::string_view text_at(std::string_view header, std::size_t at, std::size_t size) {
  const std::string_view field = header.substr(at, size);
  return field.substr(0, std::min(field.find('\0'), field.size()));
}

/// Octal, or in base 256.
std::optional<std::uint64_t> number_at(std::string_view header, std::size_t at, std::size_t size) {
  std::string_view field = header.substr(at, size);
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(field.front()) & 0x80U) != 0) {
    value = static_cast<unsigned char>(field.front()) & 0x7FU;
    for (const char c : field.substr(1)) {
      if (value > (k_largest >> 8U)) {
        return std::nullopt;
      }
      value = (value << 8U) | static_cast<unsigned char>(c);
    }
    return value;
  }
  while (field.starts_with(' ') || field.starts_with('\0')) {
    field.remove_prefix(1);
  }
  while (field.ends_with(' ') || field.ends_with('\0')) {
    field.remove_suffix(1);
  }
  const auto read = std::from_chars(field.data(), field.data() + field.size(), value, 8);
  const bool is_number =
      field.empty() || (read.ec == std::errc() && read.ptr == field.data() + field.size());
  return is_number && value <= k_largest ? std::optional(value) : std::nullopt;
}

bool has_right_sum(std::string_view header) {
  constexpr std::size_t k_sum_at = 148;
  constexpr std::size_t k_sum_size = 8;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const bool is_sum = i >= k_sum_at && i < k_sum_at + k_sum_size;
    sum += is_sum ? std::uint64_t{' '} : static_cast<unsigned char>(header[i]);
  }
  return number_at(header, k_sum_at, k_sum_size) == sum;
}

}  // namespace

void TarNames::feed(std::string_view piece) {
  while (!piece.empty()) {
    if (is_lost_) {
      sink_(piece, {}, Part::other);
      return;
    }
    if (left_ == 0) {
      const std::size_t taken = std::min(k_block - header_.size(), piece.size());
      header_ += piece.substr(0, taken);
      piece.remove_prefix(taken);
      if (header_.size() == k_block) {
        read_header();
        sink_(header_, path_, path_.empty() ? Part::other : Part::header);
        header_.clear();
      }
      continue;
    }
    const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, piece.size()));
    const std::string_view part = piece.substr(0, taken);
    const auto own = static_cast<std::size_t>(std::min<std::uint64_t>(size_, taken));
    if (content_ == Content::gnu_name && long_name_.size() <= k_longest_name) {
      long_name_ += part.substr(0, own);
    } else if (content_ == Content::pax && pax_.size() <= k_longest_pax) {
      pax_ += part.substr(0, own);
    }
    const std::size_t content = content_ == Content::file && !path_.empty() ? own : 0;
    if (content > 0) {
      sink_(part.substr(0, content), path_, Part::content);
    }
    if (content < part.size()) {
      sink_(part.substr(content), path_, Part::other);
    }
    size_ -= own;
    left_ -= taken;
    piece.remove_prefix(taken);
    if (left_ == 0) {
      end_content();
    }
  }
}

void TarNames::read_header() {
  const std::string_view header = header_;
  path_.clear();
  if (header.find_first_not_of('\0') == std::string_view::npos) {
    return;  // The end, or what fills it up.
  }
  const auto size = number_at(header, 124, 12);
  if (!size || !has_right_sum(header)) {
    is_lost_ = true;
    return;
  }
  const char type = header[156];
  content_ = type == 'L' ? Content::gnu_name : type == 'x' ? Content::pax : Content::file;
  size_ = *size;
  if (content_ == Content::file && type != 'g' && type != 'K') {
    path_ = std::exchange(long_name_, {});
    if (path_.empty()) {
      const bool is_ustar = header.substr(257, 6) == std::string_view("ustar\0", 6);
      const std::string_view prefix = is_ustar ? text_at(header, 345, 155) : std::string_view();
      path_ =
          std::string(prefix) + (prefix.empty() ? "" : "/") + std::string(text_at(header, 0, 100));
    }
    size_ = std::exchange(has_pax_size_, false) ? pax_size_ : size_;
    const bool has_content =
        type == '0' || type == '\0' || type == '7' || type == 'S' || !(type >= '1' && type <= '6');
    size_ = has_content ? size_ : 0;
  } else if (content_ == Content::gnu_name) {
    long_name_.clear();
  } else if (content_ == Content::pax) {
    pax_.clear();
  }
  left_ = (size_ + k_block - 1) / k_block * k_block;
}

void TarNames::end_content() {
  if (content_ == Content::gnu_name) {
    long_name_ = long_name_.size() > k_longest_name
                     ? std::string()
                     : long_name_.substr(0, std::min(long_name_.find('\0'), long_name_.size()));
  } else if (content_ == Content::pax) {
    read_pax();
    pax_.clear();
  }
}

/// Records of `LENGTH KEY=VALUE\n`.
void TarNames::read_pax() {
  std::string_view rest = pax_.size() > k_longest_pax ? std::string_view() : std::string_view(pax_);
  while (!rest.empty()) {
    std::size_t length = 0;
    const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), length);
    const auto digits = static_cast<std::size_t>(read.ptr - rest.data());
    if (read.ec != std::errc() || length <= digits + 1 || length > rest.size()) {
      return;
    }
    std::string_view record = rest.substr(digits + 1, length - digits - 1);
    rest.remove_prefix(length);
    if (record.ends_with('\n')) {
      record.remove_suffix(1);
    }
    if (record.starts_with("path=") && record.size() <= k_longest_name) {
      long_name_ = record.substr(5);
    } else if (record.starts_with("size=")) {
      const std::string_view value = record.substr(5);
      const auto number = std::from_chars(value.data(), value.data() + value.size(), pax_size_);
      has_pax_size_ = number.ec == std::errc() && pax_size_ <= k_largest;
    }
  }
}

}  // namespace builder::adapters::image_search
