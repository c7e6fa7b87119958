#pragma once

#include "model/queue_model.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace builder::model {

/// What may happen at most, over one history.
struct Budgets {
  Small cancels = 0;
  Small crashes = 0;
  Small pauses = 0;   ///< A worker sleeps beyond its lease.
  Small losses = 0;   ///< An answer of Redis or of the platform does not arrive.
  Small drains = 0;   ///< A worker gives a job back.
  Small records = 0;  ///< A worker records how far a job has come.
};

struct Scope {
  Rules rules;
  std::vector<Small> pushes;  ///< What the platform pushes, in this order, at any time.
  Budgets budgets;
  /// Of the worker's own rules, not of the scripts'.
  bool fence_before_posts = true;
  bool fence_ends_before_lease = true;
  std::size_t most_states = 20'000'000;
};

struct Exploration {
  std::size_t states = 0;
  std::size_t transitions = 0;
  bool complete = false;
  std::string violation;           ///< Empty: none.
  std::vector<std::string> trace;  ///< The shortest way to it.
};

/// Goes through every state that two workers, the platform and Redis can be in, breadth first, and
/// checks the invariants in each.
Exploration explore(const Scope& scope);

}  // namespace builder::model
