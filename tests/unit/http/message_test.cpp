#include "adapters/http/message.hpp"

#include "fakes/random_text.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::http {
namespace {

using namespace std::chrono_literals;

// 2026-01-01T00:00:00Z
const auto k_now = std::chrono::system_clock::from_time_t(1'767'225'600);

TEST(RetryAfter, IsSecondsOrADateAndNeverMoreThanAMinute) {
  const std::pair<const char*, std::optional<std::chrono::milliseconds>> table[] = {
      {"0", 0ms},
      {"50", 50s},
      {"120", 1min},
      {"99999999", 1min},
      {"99999999999999999999999", 1min},
      {"-1", std::nullopt},
      {"", std::nullopt},
      {"1.5", std::nullopt},
      {"soon", std::nullopt},
      {"Thu, 01 Jan 2026 00:00:10 GMT", 10s},
      {"Thursday, 01-Jan-26 00:00:10 GMT", 10s},
      {"Thu Jan  1 00:00:10 2026", 10s},
      {"Thu, 01 Jan 2020 00:00:00 GMT", 0ms},
      {"Fri, 01 Jan 2100 00:00:00 GMT", 1min},
      {"Sun, 16081122 08:34 Nov", std::nullopt},
      {"Fri, 01 Jan 9999 00:00:00 GMT", std::nullopt},
  };
  for (const auto& [value, wait] : table) {
    EXPECT_EQ(parse_retry_after(value, k_now), wait) << value;
  }
}

TEST(Response, FindsAHeaderInAnyCase) {
  const Response response{.status = 429, .headers = {{"retry-AFTER", "3"}, {"Retry-After", "9"}}};
  EXPECT_EQ(response.retry_after(k_now), 3s);
  EXPECT_FALSE(response.header("Location"));
}

TEST(WithoutSecrets, LeavesSchemeHostAndPath) {
  EXPECT_EQ(without_secrets("https://u:p%40@h:1/a/b?token=x#y"), "https://h:1/a/b");
  EXPECT_EQ(without_secrets("https://u@x@h/a"), "https://h/a");
  EXPECT_EQ(without_secrets("h/a@b?c"), "h/a@b");
}

TEST(PercentEncode, KeepsTheUnreservedAndWhatIsAskedFor) {
  EXPECT_EQ(percent_encode("a-Z_0.~ /?#%\xff"), "a-Z_0.~%20%2F%3F%23%25%FF");
  EXPECT_EQ(percent_encode("a/b", "/"), "a/b");
}

TEST(HostileMessage, NeverShowsACredentialAndNeverWaitsForEver) {
  fakes::RandomText random(
      41, {"https://", "user:hunter22@", "h", ":80", "/", "?k=hunter22", "#", "@", ":", "Thu, ",
           "01 Jan 2026 ", "00:00:10", " GMT", "9", "-", " ", "\xff", "%"});
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = random.make(8);
    const auto wait = parse_retry_after(text, k_now);
    ASSERT_TRUE(!wait || (*wait >= 0ms && *wait <= 1min)) << text;
    const std::string url = "https://user:hunter22@h/" + random.make(3) + "?" + text;
    ASSERT_FALSE(without_secrets(url.substr(0, url.find('?'))).starts_with("https://user")) << url;
    const std::string encoded = percent_encode(text);
    ASSERT_EQ(encoded.find_first_of("/?#:@ "), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace builder::adapters::http
