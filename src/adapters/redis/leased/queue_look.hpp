#pragma once

#include "adapters/redis/client/connection.hpp"
#include "ports/queue_admin.hpp"

#include <cstddef>
#include <string>
#include <vector>

/// What the answers to the commands of a look say. What is missing or has another form than our
/// scripts write says nothing.
namespace builder::adapters::redis {

/// A field and its value, a member and its score.
using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs pairs_of(const Reply& reply);
/// Empty: it has none.
std::string value_of(const Pairs& pairs, const std::string& name);

/// The answer to TIME.
ports::QueueTime time_of(const Reply& reply);

/// What an element of the queue says of itself, but for its secrets.
ports::WaitingJob read_element(const std::string& element, std::size_t position);

ports::DeadLetter read_letter(const std::string& entry);

/// A value of `out`, "sender time entry".
ports::UndeliveredEnd read_end(const std::string& deployment, const std::string& value,
                               ports::QueueTime now);

/// The hashes and sets that a look reads; a look at one deployment leaves some of them empty.
struct Books {
  ports::QueueTime now{};
  Pairs own;       ///< Deployment → "lease id service".
  Pairs attempts;  ///< Deployment → attempts begun.
  Pairs newer;     ///< Deployment → the newer one.
  Pairs workers;   ///< Lease id → end of its lease in ms.
  Pairs about;     ///< Lease id → "time JSON".
  Pairs pauses;    ///< Name → JSON.
  Pairs whose;     ///< Deployment → its owner, and what `take` remembers of the order.
  Pairs turns;     ///< Owner → number of its last turn; of those that `put_in_turn` meets.
};

std::vector<ports::BuiltJob> running_of(const Books& books);
/// Sorted by host and process; those that say nothing come last. `ends` tell who sends what.
std::vector<ports::QueueWorker> workers_of(const Books& books,
                                           const std::vector<ports::UndeliveredEnd>& ends);
std::vector<ports::NamedPause> pauses_of(const Books& books);
/// Gives what waits, in the queue's order, the order and the places in which it is likely to be
/// taken in turn.
/// `books.turns` has to have what `owners_of` names.
void put_in_turn(std::vector<ports::WaitingJob>& waiting,
                 const std::vector<ports::BuiltJob>& running, const Books& books);
/// Of what waits, each once; and of those who had no turn yet, who are nobody.
std::vector<std::string> owners_of(const std::vector<ports::WaitingJob>& waiting);
/// Set aside: service → element. Each waits for what `own` says is built of its service.
std::vector<ports::WaitingJob> set_aside_of(const Pairs& wait, const Books& books);

}  // namespace builder::adapters::redis
