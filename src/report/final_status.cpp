#include "report/final_status.hpp"

#include "domain/log_text.hpp"
#include "ports/retry_until_answered.hpp"

#include <utility>

namespace builder::report {

namespace {

using domain::LogType;
using domain::Message;
using ports::Delivery;
using ports::DeploymentStatus;
using ports::Ending;
using ports::StatusUpdate;
using ports::Verdict;
using Clock = std::chrono::steady_clock;

StatusUpdate cancelled(std::string line) {
  return {.status = DeploymentStatus::cancelled,
          .error = {},
          .log = Message{LogType::error, std::move(line)},
          .image_uri = {}};
}

Outcome outcome_of(const Ending& ending) {
  switch (ending.verdict) {
    case Verdict::superseded:
      return Outcome::superseded;
    case Verdict::cancelled_by_user:
      return Outcome::cancelled;
    case Verdict::attempts_used:
      return Outcome::failed;
    case Verdict::as_reported:
      break;
  }
  switch (ending.update.status) {
    case DeploymentStatus::builded:
      return Outcome::builded;
    case DeploymentStatus::cancelled:
      return Outcome::cancelled;
    default:
      return Outcome::failed;
  }
}

/// While the queue is out of reach the end stays undecided: nothing may be posted before.
Result<Ending> decide(const FinalContext& context, const StatusUpdate& update) {
  return ports::retry_until_answered(context.log, context.abort,
                                     "the end of the deployment could not be recorded",
                                     [&] { return context.queue.finish(context.receipt, update); });
}

Outcome undecided(const Error& error) {
  return error.kind == ErrorKind::conflict ? Outcome::lost : Outcome::requeued;
}

/// Not settled, it would be delivered again whenever this worker ends.
void settle(const FinalContext& context, Delivery delivery,
            std::optional<DeploymentStatus> posted = std::nullopt) {
  [[maybe_unused]] const auto settled = ports::retry_until_answered(
      context.log, context.abort, "a delivered status could not be settled",
      [&] { return context.queue.settle(context.receipt, delivery, posted); });
}

/// Nobody to tell: it ends all the same, and the operator can see that it did.
Outcome bury(const FinalContext& context, const Error& error) {
  context.metrics.dead_letter("unknown");
  context.log.error("dead letter: {}", error.message);
  settle(context, Delivery::unknown);
  return Outcome::gone;
}

Outcome not_delivered(const FinalContext& context, const Error& error) {
  const Outcome outcome = not_told(error.kind);
  if (outcome == Outcome::gone) {
    return bury(context, error);
  }
  context.log.error("the final status could not be delivered: {}", error.message);
  if (outcome != Outcome::lost) {
    settle(context, Delivery::later);
  }
  return outcome;
}

}  // namespace

StatusUpdate update_of(const Ending& ending) {
  switch (ending.verdict) {
    case Verdict::cancelled_by_user:
      return cancelled("Deployment cancelled by user");
    case Verdict::superseded:
      return cancelled("Deployment superseded by a newer one of this service");
    case Verdict::attempts_used:
      return failed_update(
          "The build was started several times and the worker that ran it was lost each time; it "
          "may need more memory than the build machine has: make it smaller or ask the operator");
    case Verdict::as_reported:
      break;
  }
  return ending.update;
}

StatusUpdate failed_update(const std::string& text) {
  static const auto shapes = std::make_shared<const Redactor>(std::vector<NamedSecret>());
  const std::string line = domain::shown_line(shapes, text);
  return {.status = DeploymentStatus::failed,
          .error = line,
          .log = Message{LogType::error, line},
          .image_uri = {}};
}

Outcome report_end(const FinalContext& context, const StatusUpdate& update) {
  auto ending = decide(context, update);
  if (!ending) {
    return undecided(ending.error());
  }
  return deliver_end(context, *std::move(ending));
}

Outcome end_unknown(const FinalContext& context, const StatusUpdate& update, const Error& error) {
  const auto ending = decide(context, update);
  return ending ? bury(context, error) : undecided(ending.error());
}

Outcome deliver_end(const FinalContext& context, Ending ending) {
  const SteadyTime deadline = Clock::now() + context.patience;
  for (;;) {
    const StatusUpdate update = update_of(ending);
    // A stop of the job ends the repetition of a status that it would change, and of no other.
    const bool may_change = update.status != DeploymentStatus::cancelled &&
                            !context.cancellation.token().stop_requested();
    const auto answer = context.channel.status(
        update, may_change ? context.cancellation.token() : context.abort, deadline);
    if (answer) {
      settle(context, Delivery::done, update.status);
      return outcome_of(ending);
    }
    const bool changed = answer.error().kind == ErrorKind::cancelled && may_change &&
                         context.cancellation.token().stop_requested();
    if (!changed) {
      return not_delivered(context, answer.error());
    }
    // A cancel that came while BUILDED could not be delivered wins: a BUILDED whose answer was lost
    // is followed by CANCELLED, never by another BUILDED. Who told us may not have recorded it yet.
    if (context.cancellation.reason() == ports::StopReason::cancelled_by_user) {
      const auto recorded = ports::retry_until_answered(
          context.log, context.abort, "a cancel could not be recorded",
          [&] { return context.queue.cancel(context.receipt.deployment); });
      if (!recorded) {
        return not_delivered(context, recorded.error());
      }
    }
    auto again = decide(context, update);
    if (!again) {
      return not_delivered(context, again.error());
    }
    ending = *std::move(again);
  }
}

}  // namespace builder::report
