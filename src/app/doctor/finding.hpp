#pragma once

#include <string>
#include <string_view>

namespace builder::app {

enum class State {
  ok,
  warning,    ///< Builds work; somebody should look at it.
  failure,    ///< Builds do not work, or not as they are configured.
  not_tried,  ///< Nobody knows: it cannot be tried without an effect, or something before it
              ///< failed.
};

/// "ok", "warning", "failure", "not tried".
std::string_view to_string(State state);

/// One thing that was looked at. All texts are one printable line without secrets.
struct Finding {
  std::string group;  ///< "Redis": what is in the middle of it.
  std::string what;   ///< "rights": unique in its group as a rule.
  State state = State::ok;
  std::string text;     ///< What is there.
  std::string setting;  ///< The setting to look at; empty: none.
  std::string cure;     ///< What to do; empty: nothing, or `text` says it.
};

}  // namespace builder::app
