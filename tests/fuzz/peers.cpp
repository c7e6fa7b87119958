// What AWS, the platform, another worker's history and whoever is in their place answer or ask is
// read or refused; nothing of it is told further that is no word, or too long.
#include "adapters/dashboard/reporter.hpp"
#include "adapters/ecr/credential_answers.hpp"
#include "adapters/ecr/lifecycle_policy.hpp"
#include "adapters/remote_history/wire.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

#include "fuzz/target.hpp"

BUILDER_FUZZ(peers) {
  using namespace builder;
  using namespace builder::adapters;
  const int status = 100 + 2 * static_cast<int>(fuzz::take_byte(input));
  const http::Response response{.status = status, .headers = {}, .body = std::string(input)};
  for (const auto& keys : {ecr::parse_json_credentials(input), ecr::parse_sts_credentials(input),
                           ecr::parse_process_credentials(input)}) {
    fuzz::expect(!keys || !keys->key.access_key_id.empty(), "keys without an id");
    fuzz::expect(keys.has_value() || input.size() < 8 || !keys.error().message.contains(input),
                 "an answer is quoted that may hold keys");
  }
  const std::string code = ecr::code_of(response);
  fuzz::expect(code.empty() || ecr::is_word(code), "a code that is no word: " + code);
  static_cast<void>(ecr::says_keys(response));
  static_cast<void>(ecr::element(input, "AccessKeyId"));
  static_cast<void>(ecr::parse_iso_time(response.body));
  static_cast<void>(ecr::judge_policy(input, {.images = 10}));
  for (const bool tagged_only : {false, true}) {
    const ecr::Retention kept{.images = status, .tagged_only = tagged_only};
    fuzz::expect(
        ecr::judge_policy(ecr::lifecycle_policy(kept), kept) == ecr::PolicyJudgement::current,
        "a policy of ours is not known");
  }
  static_cast<void>(dashboard::parse_status_answer(input));
  if (const auto runs = remote_history::read_details(input)) {
    const std::string answer = remote_history::details_answer(*runs);
    fuzz::expect(answer.size() < remote_history::k_largest_answer, "an answer without a bound");
    fuzz::expect(remote_history::read_details(answer).has_value(), "an answer of ours is not read");
  }
  static_cast<void>(remote_history::read_rows(input));
  if (const auto question = remote_history::read_target(input)) {
    fuzz::expect(remote_history::read_target(remote_history::target_of(*question)).has_value(),
                 "a question of ours is not read");
  }
  const std::string line = printable_line(input, 191);
  fuzz::expect(is_utf8(line) && !line.contains('\n'), "not one line");
  const std::string_view cut = truncate_bytes(input, 100);
  fuzz::expect(cut.size() <= 100 && input.starts_with(cut), "not the beginning");
}
