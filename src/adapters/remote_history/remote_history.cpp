#include "adapters/remote_history/remote_history.hpp"

#include "adapters/http/stranger.hpp"
#include "adapters/remote_history/wire.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace builder::adapters::remote_history {

namespace {

class RemoteHistory final : public ports::HistoryReader {
 public:
  RemoteHistory(http::Client& client, RemoteAddress address, std::stop_token stop)
      : client_(client), address_(std::move(address)), stop_(std::move(stop)) {}

  Result<std::vector<ports::KeptRun>> list(const ports::RunFilter& filter) override {
    BUILDER_TRY_ASSIGN(const std::string answer, get(filter));
    return read_runs(answer);
  }

  Result<std::vector<ports::KeptRunDetails>> find(const domain::DeploymentId& deployment) override {
    BUILDER_TRY_ASSIGN(const std::string answer, get(deployment));
    return read_details(answer);
  }

  Result<std::vector<ports::KeptRow>> log(std::int64_t run, std::uint64_t from,
                                          std::size_t most) override {
    BUILDER_TRY_ASSIGN(const std::string answer, get(LogPart{.run = run, .from = from}));
    BUILDER_TRY_ASSIGN(auto rows, read_rows(answer));
    // Whoever asks goes on behind the last row: one that is not behind would never end.
    std::uint64_t next = from;
    for (const ports::KeptRow& row : rows) {
      if (row.number < next || row.number == std::numeric_limits<std::uint64_t>::max()) {
        return failure(ErrorKind::internal, "its rows are not in order");
      }
      next = row.number + 1;
    }
    rows.resize(std::min(rows.size(), most));
    return rows;
  }

 private:
  Result<std::string> get(const Question& question) {
    http::Request request{.url = address_.url + target_of(question),
                          .headers = {{"Authorization", "Bearer " + address_.token.reveal()},
                                      {"Accept", "application/json"}},
                          .body = {},
                          .connect_timeout = address_.limit,
                          .timeout = address_.limit,
                          .max_body = k_largest_answer,
                          .direct = true};
    BUILDER_TRY_ASSIGN(http::Response response, client_.send(request, stop_, SteadyTime::max()));
    if (response.ok()) {
      return std::move(response.body);
    }
    switch (response.status) {
      case 401:
      case 403:
        return failure(ErrorKind::denied, "it refuses the token (HISTORY_TOKEN)");
      case 404:
        return failure(ErrorKind::not_found, "it has no history");
      case 503:
        return failure(ErrorKind::unavailable, "it is busy with others' questions");
      default:
        return failure(ErrorKind::internal, "it answers " + http::describe(response));
    }
  }

  http::Client& client_;
  const RemoteAddress address_;
  const std::stop_token stop_;
};

}  // namespace

std::unique_ptr<ports::HistoryReader> make_remote_history(http::Client& client,
                                                          RemoteAddress address,
                                                          std::stop_token stop) {
  return std::make_unique<RemoteHistory>(client, std::move(address), std::move(stop));
}

}  // namespace builder::adapters::remote_history
