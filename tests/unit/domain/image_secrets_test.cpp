#include "domain/image_secrets.hpp"

#include "base/text.hpp"
#include "base/text_forms.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace builder::domain {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

/// Of many kinds: with marks of every escape, with blanks, of several lines, long, short.
const std::vector<std::string> k_values{
    "pl4ntedDb9xKw7Zq",
    "pl4nted/Db+9xKw&Zq",
    "a\"b\\c'd$e`f<g>h&i;j%k l",
    "eyJhbGciOiJIUzI1NiJ9.cGxhbnRlZA.Q7vR2mXk9TzLw",
    "9f86d081884c7d659a2feaa0c55ad015",
    "https://u:pl4ntedMirror5Xe9@mirror.example.com/T0/B1",
    "MC4CAQAwBQYDK2VwBCIEIJ7fQx3v9Kz2\nTq8sLw1XmB5nR0cYd6hGpAeUoVfI4jZk\n",
    "p\xC3\xA4ssw\xC3\xB6rt-9Xk2vQ",
    std::string(40, 'x') + "Kq7Zr2Wn5Tb8Yc4Mv1",
    "npm_7Hq2LzP9xWv4Tn8RkYb3",
    "correct-Horse7battery=staple",
    "00112233445566778899aabbccddeeff"};

SoughtSecrets sought(const std::string& value) {
  return SoughtSecrets({{"variable X", Secret(value)}});
}

bool finds(const std::string& value, const std::string& text) {
  const SoughtSecrets secrets = sought(value);
  return !secrets_in(secrets, "before " + text + " behind").empty();
}

std::string replaced(std::string text, const std::vector<std::pair<std::string, std::string>>& by) {
  std::string out;
  for (const char c : text) {
    const auto rule =
        std::ranges::find(by, std::string(1, c), &std::pair<std::string, std::string>::first);
    out += rule == by.end() ? std::string(1, c) : rule->second;
  }
  return out;
}

/// A line break after every `width` characters.
std::string in_rows(const std::string& text, std::size_t width, std::size_t first) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += (i % width == first % width && i > 0 ? "\n" : "") + text.substr(i, 1);
  }
  return out;
}

std::string percent(const std::string& value, bool upper) {
  std::string out;
  for (const char c : value) {
    const bool keeps = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' ||
                       c == '_' || c == '~';
    out += keeps ? std::string(1, c) : "%" + hex(std::string(1, c), upper);
  }
  return out;
}

TEST(ImageSecrets, AreFoundInEveryFormThatFilesHaveThemIn) {
  for (const std::string& value : k_values) {
    SCOPED_TRACE(value);
    EXPECT_TRUE(finds(value, value));
    EXPECT_TRUE(finds(value, percent(value, true)));
    EXPECT_TRUE(finds(value, percent(value, false)));
    EXPECT_TRUE(finds(value, replaced(value, {{"\"", "\\\""}, {"\\", "\\\\"}, {"\n", "\\n"}})))
        << "JSON, .env";
    EXPECT_TRUE(finds(
        value,
        replaced(value,
                 {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}})))
        << "HTML";
    EXPECT_TRUE(finds(value, replaced(value, {{"'", "'\\''"}}))) << "a shell's";
    EXPECT_TRUE(finds(value, hex(value)));
    EXPECT_TRUE(finds(value, hex(value, true)));
    std::string wide;
    for (const char c : value) {
      wide += std::string{c, '\0'};
    }
    EXPECT_TRUE(finds(value, wide)) << "UTF-16";
    for (std::size_t before = 0; before < 3; ++before) {
      std::string encoded = base64_encode(std::string(before, 'x') + value + "yz");
      EXPECT_TRUE(finds(value, encoded)) << before;
      std::ranges::replace(encoded, '+', '-');
      std::ranges::replace(encoded, '/', '_');
      EXPECT_TRUE(finds(value, encoded)) << before;
    }
  }
}

TEST(ImageSecrets, AreFoundWhereverRowsOfEncodedTextBreak) {
  for (const std::string& value : k_values) {
    SCOPED_TRACE(value);
    const SoughtSecrets secrets = sought(value);
    const auto finds_in = [&](const std::string& text) {
      return !secrets_in(secrets, "before " + text + " behind").empty();
    };
    for (std::size_t first = 0; first < 76; ++first) {
      for (std::size_t before = 0; before < 3; ++before) {
        const std::string encoded = base64_encode(std::string(before, 'x') + value + "yz");
        EXPECT_TRUE(finds_in(in_rows(encoded, 76, first))) << first << ", " << before;
      }
      EXPECT_TRUE(finds_in(in_rows(hex(value), 60, first))) << first;
      EXPECT_TRUE(finds_in(in_rows(hex(value, true), 60, first))) << first;
    }
  }
}

TEST(ImageSecrets, AreFoundHoweverTheStreamIsCut) {
  const SoughtSecrets secrets = sought(k_values[1]);
  const std::string text = std::string(100, 'p') + "pl4nted/Db+9xK pl4" + k_values[1] + "tail";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    for (const std::size_t width : {std::size_t{1}, std::size_t{3}, text.size()}) {
      SecretScanner scanner(secrets);
      int found = 0;
      const auto feed = [&](std::string_view piece) {
        scanner.feed(piece, [&](std::size_t, std::size_t) { ++found; });
      };
      feed(text.substr(0, cut));
      for (std::size_t at = cut; at < text.size(); at += width) {
        feed(std::string_view(text).substr(at, width));
      }
      ASSERT_EQ(found, 1) << cut << " " << width;
    }
  }
}

TEST(ImageSecrets, TellsWhichIsWhich) {
  const SoughtSecrets secrets({{"variable A", Secret("first-9xKw7ZqT4")},
                               {"variable B", Secret("second-9xKw7ZqT4")},
                               {"variable B", Secret("another-Kq7Zr2Wn5")}});
  const auto names = [&](std::string_view text) {
    std::vector<std::string> found;
    for (const std::size_t secret : secrets_in(secrets, text)) {
      found.push_back(secrets.name(secret));
    }
    return found;
  };
  EXPECT_THAT(names("first-9xKw7ZqT4 another-Kq7Zr2Wn5"), ElementsAre("variable A", "variable B"));
  EXPECT_THAT(names("second-9xKw7ZqT4"), ElementsAre("variable B"));
  EXPECT_THAT(names("third-9xKw7ZqT4"), IsEmpty());
}

TEST(ImageSecrets, LeavesOutWhatAnyImageHoldsByChance) {
  for (const char* value : {"production", "postgres", "localhost", "12345678", "change-me",
                            "hunter2", "aaaaaaaaaaaaaaaa", "true", ""}) {
    EXPECT_TRUE(sought(value).empty()) << value;
  }
  EXPECT_THAT(sought("password").left_out(), ElementsAre("variable X"));
}

TEST(ImageSecrets, TakeBoundedMemoryAndDropTheRarestFormsFirst) {
  std::vector<NamedSecret> many;
  for (int i = 0; i < 3'000; ++i) {
    many.push_back({"variable " + std::to_string(i), Secret(sha256_hex(std::to_string(i)))});
  }
  const SoughtSecrets secrets(many);
  EXPECT_THAT(secrets.left_out(), IsEmpty()) << "their plain forms have room";
  EXPECT_EQ(secrets_in(secrets, many.back().value.reveal()).size(), 1U);
  const SoughtSecrets huge({{"variable H", Secret(std::string(1 << 20, 'x') + "9xKw7ZqT4")}});
  EXPECT_TRUE(huge.empty());
}

DeploymentRequest request_with(std::vector<EnvironmentVariable> variables) {
  DeploymentRequest request;
  request.environment = std::move(variables);
  return request;
}

std::vector<std::string> values_of(const std::vector<NamedSecret>& secrets) {
  std::vector<std::string> values;
  for (const NamedSecret& secret : secrets) {
    values.push_back(secret.value.reveal());
  }
  return values;
}

TEST(ImageSecrets, AreWhatNamesSayAndNotWhatBrowsersGet) {
  const DeploymentRequest request =
      request_with({{"STRIPE_KEY", "sk_live_9xKw7ZqT4"},
                    {"VITE_MAPS_KEY", "AIza9xKw7ZqT4"},
                    {"BUILD_ID", "f00dfeed9xKw7ZqT4"},
                    {"SENTRY_DSN", "9xKw7ZqT4Sentry"},
                    {"DATABASE_URL", "postgres://a:Kq7Zr2Wn5Tb8@h/d"}});
  EXPECT_THAT(values_of(image_secrets(request, {})),
              ElementsAre("sk_live_9xKw7ZqT4", "9xKw7ZqT4Sentry", "Kq7Zr2Wn5Tb8"));
  const auto names = SecretNames::parse({"BUILD_*", "!*_DSN"});
  ASSERT_TRUE(names);
  EXPECT_THAT(values_of(image_secrets(request, *names)),
              ElementsAre("sk_live_9xKw7ZqT4", "f00dfeed9xKw7ZqT4", "Kq7Zr2Wn5Tb8"));
}

TEST(ImageSecrets, PatternsOfNames) {
  const auto matches = [](const char* pattern, const char* name) {
    return (*SecretNames::parse({pattern}))(name);
  };
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("A*C*", "ABCBC"));
  EXPECT_TRUE(matches("*_ID", "X_ID_ID"));
  EXPECT_FALSE(matches("A*C", "ABCD"));
  EXPECT_FALSE(matches("ID", "AID"));
  for (const char* wrong : {"", "!", "a b", "a/b", "a=b"}) {
    EXPECT_FALSE(SecretNames::parse({wrong})) << wrong;
  }
}

}  // namespace
}  // namespace builder::domain
