#include "app/health/history_pages.hpp"

#include "adapters/remote_history/wire.hpp"

#include <utility>
#include <variant>
#include <vector>

namespace builder::app {

namespace {

namespace wire = adapters::remote_history;

/// Rows of 64 KiB each would still fit into the endpoint's memory.
constexpr std::size_t k_rows_at_once = 32;

HttpAnswer answer_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::invalid_input:
      return {.status = 400, .reason = "Bad Request", .body = error.message + "\n"};
    case ErrorKind::not_found:
      return {.status = 404, .reason = "Not Found", .body = error.message + "\n"};
    default:
      // The operator's words are for the log: they have paths of this machine.
      return {.status = 503,
              .reason = "Service Unavailable",
              .body = "the history cannot be read now\n"};
  }
}

Result<std::string> rows_of(ports::HistoryReader& reader, const wire::LogPart& part) {
  wire::RowsAnswer answer;
  std::uint64_t next = part.from;
  for (std::size_t count = 0; count < wire::k_most_rows;) {
    BUILDER_TRY_ASSIGN(const auto rows, reader.log(part.run, next, k_rows_at_once));
    for (const ports::KeptRow& row : rows) {
      if (!answer.add(row)) {
        return answer.text();
      }
      next = row.number + 1;
      ++count;
    }
    if (rows.size() < k_rows_at_once) {
      break;
    }
  }
  return answer.text();
}

Result<std::string> answer_to(ports::HistoryReader& reader, const wire::Question& question) {
  if (const auto* const filter = std::get_if<ports::RunFilter>(&question)) {
    BUILDER_TRY_ASSIGN(const auto runs, reader.list(*filter));
    return wire::runs_answer(runs);
  }
  if (const auto* const id = std::get_if<domain::DeploymentId>(&question)) {
    BUILDER_TRY_ASSIGN(const auto all, reader.find(*id));
    return wire::details_answer(all);
  }
  return rows_of(reader, std::get<wire::LogPart>(question));
}

Result<std::string> page_at(const std::string& target, const HistoryOpener& open) {
  BUILDER_TRY_ASSIGN(const wire::Question question, wire::read_target(target));
  const auto reader = open();
  if (!reader) {
    const bool is_empty = reader.error().kind == ErrorKind::not_found &&
                          !std::holds_alternative<wire::LogPart>(question);
    // Nothing was built here yet.
    return is_empty ? Result<std::string>(wire::runs_answer({})) : std::unexpected(reader.error());
  }
  auto answer = answer_to(**reader, question);
  if (!answer && answer.error().kind == ErrorKind::invalid_input) {
    // The question was understood: it is the history that is damaged.
    return failure(ErrorKind::unavailable, answer.error().message);
  }
  return answer;
}

}  // namespace

PageQueue::Make history_pages(HistoryOpener open) {
  return [open = std::move(open)](const std::string& target) -> HttpAnswer {
    auto page = page_at(target, open);
    return page ? HttpAnswer{.body = *std::move(page), .type = "application/json"}
                : answer_of(page.error());
  };
}

}  // namespace builder::app
