#include "app/compose/history_parts.hpp"

#include <gtest/gtest.h>

#include <map>

namespace builder::app {
namespace {

AnnouncedHistory announced(std::map<std::string, std::string, std::less<>> values) {
  values.try_emplace("HISTORY_TOKEN", "a-token-of-the-test");
  const LoadedConfig loaded = load_config(
      [&](std::string_view name) -> std::optional<std::string> {
        const auto found = values.find(name);
        return found == values.end() ? std::nullopt : std::optional(found->second);
      },
      "");
  EXPECT_TRUE(loaded.errors_of({Concern::history}).empty());
  return announced_history(loaded.config, "ops-1");
}

TEST(AnnouncedHistory, IsWhereOthersReachTheEndpoint) {
  for (const auto& [listen, url] :
       {std::pair("0.0.0.0:9191", "http://ops-1:9191"), std::pair("[::]:9191", "http://ops-1:9191"),
        std::pair("10.1.2.3:80", "http://10.1.2.3:80"),
        std::pair("[fd00::1]:80", "http://[fd00::1]:80"),
        std::pair("ops.internal:1", "http://ops.internal:1")}) {
    EXPECT_EQ(announced({{"HTTP_LISTEN", listen}}).url, url);
  }
  EXPECT_EQ(
      announced({{"HTTP_LISTEN", "127.0.0.1:80"}, {"HISTORY_ADDRESS", "https://h.test/x/"}}).url,
      "https://h.test/x");
}

TEST(AnnouncedHistory, SaysWhyThereIsNone) {
  for (const auto& [values, setting] :
       {std::pair<std::map<std::string, std::string, std::less<>>, const char*>{
            {{"HTTP_LISTEN", "h:80"}, {"HISTORY_KEEP", "0"}}, "HISTORY_KEEP"},
        {{{"HTTP_LISTEN", "h:80"}, {"HISTORY_TOKEN", ""}}, "HISTORY_TOKEN"},
        {{{"HISTORY_ADDRESS", "http://h"}}, "HTTP_LISTEN"},
        {{{"HTTP_LISTEN", "127.0.0.1:80"}}, "HISTORY_ADDRESS"},
        {{{"HTTP_LISTEN", "[::1]:80"}}, "HISTORY_ADDRESS"},
        {{{"HTTP_LISTEN", "localhost:80"}}, "HISTORY_ADDRESS"},
        {{{"HTTP_LISTEN", "0.0.0.0:0"}}, "HISTORY_ADDRESS"}}) {
    const AnnouncedHistory none = announced(values);
    EXPECT_EQ(none.url, "") << setting;
    EXPECT_TRUE(none.why_none.contains(setting)) << none.why_none;
  }
}

}  // namespace
}  // namespace builder::app
