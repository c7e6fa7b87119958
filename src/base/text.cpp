#include "base/text.hpp"

#include "base/check.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <random>

namespace builder {

namespace {

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u;
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte != 0x7F) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  if (line.ends_with(' ')) {
    line.pop_back();
  }
  return line;
}

std::string in_words(std::chrono::seconds time) {
  const bool minutes = time.count() >= 60 && time.count() % 60 == 0;
  const auto count = minutes ? time.count() / 60 : time.count();
  return std::to_string(count) + (minutes ? " minute" : " second") + (count == 1 ? "" : "s");
}

std::string cut_characters(std::string_view text, std::size_t characters) {
  std::size_t count = 0;
  std::size_t keep = 0;  // Where the last character that leaves room for the ellipsis begins.
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_continuation(text[i])) {
      continue;
    }
    if (++count == characters) {
      keep = i;
    }
    if (count > characters) {
      return std::string(text.substr(0, keep)) + "…";
    }
  }
  return std::string(text);
}

std::array<std::uint8_t, 32> sha256(std::string_view data) {
  std::array<std::uint8_t, 32> digest{};
  BUILDER_CHECK(
      EVP_Digest(data.data(), data.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return digest;
}

std::string sha256_hex(std::string_view data) {
  const auto digest = sha256(data);
  return hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_digest(std::string_view text) {
  constexpr std::string_view k_algorithm = "sha256:";
  return text.starts_with(k_algorithm) && text.size() == k_algorithm.size() + 64 &&
         is_hex(text.substr(k_algorithm.size()));
}

std::string base64_encode(std::string_view data) {
  std::string out((data.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(data.data()),
                                     static_cast<int>(data.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  std::string out(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) {
    return std::nullopt;
  }
  // It counts the bytes that stand for the padding, too.
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  out.resize(static_cast<std::size_t>(length) - padding);
  return out;
}

std::string hex(std::string_view bytes, bool upper) {
  const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += digits[value >> 4u];
    out += digits[value & 15u];
  }
  return out;
}

std::string random_hex(std::size_t bytes) {
  std::random_device device;
  std::string random;
  for (std::size_t i = 0; i < bytes; ++i) {
    random += static_cast<char>(device() & 0xFFu);
  }
  return hex(random);
}

bool is_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto first = static_cast<unsigned char>(text[i]);
    std::size_t length = 1;
    if (first >= 0x80) {
      length = first >= 0xC2 && first <= 0xDF   ? 2
               : first >= 0xE0 && first <= 0xEF ? 3
               : first >= 0xF0 && first <= 0xF4 ? 4
                                                : 0;
      if (length == 0 || i + length > text.size()) {
        return false;
      }
      const auto second = static_cast<unsigned char>(text[i + 1]);
      if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
          (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) {
        return false;
      }
      for (std::size_t k = 1; k < length; ++k) {
        if (!is_continuation(text[i + k])) {
          return false;
        }
      }
    }
    i += length;
  }
  return true;
}

}  // namespace builder
