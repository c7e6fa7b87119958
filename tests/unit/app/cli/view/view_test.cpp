#include "app/cli/view/view.hpp"

#include <gtest/gtest.h>

namespace builder::app::cli {
namespace {

constexpr Terminal k_no_terminal{.columns = Terminal::k_no_limit};
constexpr Terminal k_dumb{.interactive = true};

TEST(Views, AreMadeByName) {
  for (const std::string_view name : {"auto", "plain", "json", "quiet"}) {
    for (const Terminal& terminal : {k_no_terminal, k_dumb}) {
      const auto view = make_view(name, terminal, stdout, {});
      ASSERT_TRUE(view && *view != nullptr) << name;
    }
  }
}

TEST(Views, OfATerminalNeedOne) {
  for (const Terminal& terminal : {k_no_terminal, k_dumb}) {
    const auto view = make_view("tty", terminal, stdout, {});
    ASSERT_FALSE(view);
    EXPECT_TRUE(view.error().message.contains("needs a terminal"));
  }
  EXPECT_FALSE(make_view("fancy", k_no_terminal, stdout, {}));
}

}  // namespace
}  // namespace builder::app::cli
