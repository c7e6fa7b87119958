#pragma once

namespace builder::domain {

/// How often the work of one deployment is begun, over all workers that have it. This is the one
/// number that bounds it: the queue counts the workers that were lost with the job, and
/// `ports::RetryBudget` goes on from there with what is repeated in place. All workers of a queue
/// must have the same.
inline constexpr int k_most_attempts = 3;

}  // namespace builder::domain
