#pragma once

#include "work/run_observer.hpp"

#include <string>
#include <string_view>

namespace builder::fakes {

/// Nobody wants to know.
class NoObserver final : public work::RunObserver {
 public:
  void phase_begins(std::string_view) override {}

  void step_begins(std::string) override {}

  void source_was_read() override {}

  void rests() override {}
};

}  // namespace builder::fakes
