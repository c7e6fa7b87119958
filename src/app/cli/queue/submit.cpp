#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_json.hpp"
#include "app/cli/queue/queue_text.hpp"
#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/deployment_request.hpp"
#include "domain/source_spec.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <istream>
#include <memory>

namespace builder::app::cli {

namespace {

struct Options {
  std::string file;
  bool json = false;
};

/// One byte more than the largest job, so that a larger one is seen to be larger.
constexpr std::size_t k_most_read = (std::size_t{1} << 20) + 1;

std::string read_some(std::istream& in) {
  std::string text(k_most_read, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

Result<std::string> read_job(const std::string& file) {
  if (file == "-") {
    return read_some(std::cin);
  }
  std::ifstream in(file, std::ios::binary);
  std::string text = in ? read_some(in) : std::string();
  if (!in.is_open() || in.bad() || (text.empty() && in.fail() && !in.eof())) {
    return errno_failure("open " + file);
  }
  return text;
}

/// Where a text that is no JSON stops being any (the end of the word that does not fit), as
/// compilers write a place; nothing: it is JSON.
std::optional<std::string> fault_in(const std::string& text) {
  if (text.size() == k_most_read || nests_deeper(text, k_deepest_json)) {
    return std::nullopt;  // More than a job; whoever reads it says so.
  }
  try {
    [[maybe_unused]] const Json read = Json::parse(text);
    return std::nullopt;
  } catch (const Json::parse_error& error) {
    // Counted from 1; at the end, one more than there are. What the parser says quotes the text.
    const std::size_t at = std::min(std::max<std::size_t>(error.byte, 1) - 1, text.size());
    const std::string_view before = std::string_view(text).substr(0, at);
    return fmt::format("{}:{}: {}", std::ranges::count(before, '\n') + 1,
                       at - (before.rfind('\n') + 1) + 1,
                       at == text.size() ? "the JSON ends too early" : "this is not JSON");
  }
}

/// What workers would do with it instead of building it; empty: they build it.
std::string obstacle(const std::string& id, const ports::DeploymentLook& look) {
  if (look.waiting) {
    return id + " is " + state_of(look) + " already";
  }
  if (look.running) {
    return id + " is being built already";
  }
  if (!look.status.empty() || look.ended || look.undelivered) {
    return fmt::format(
        "{} has ended{}: workers drop a deployment that has; a new deployment needs a new id", id,
        look.status.empty() ? "" : " as " + look.status);
  }
  if (look.cancelled) {
    return id + " was cancelled: workers end it as CANCELLED";
  }
  return look.superseded_by.empty() ? std::string()
                                    : id + " is superseded by " + look.superseded_by;
}

Exit submit(const std::string& text, const Options& options, const QueueAccess& access) {
  const std::string file = options.file == "-" ? "standard input" : options.file;
  const std::string element(trimmed(text));
  if (const auto fault = fault_in(text)) {
    complain(element.empty() ? file + " is empty" : file + ":" + *fault);
    return Exit::failed;
  }
  const domain::ParsedJob job = domain::parse_job(element);
  if (!job.request) {
    return failed(Error(job.request.error()).with_context(file));
  }
  if (const auto source = domain::resolve_source(*job.request, access.github_url); !source) {
    return failed(Error(source.error()).with_context(file));
  }
  const std::string& id = job.request->deployment_id.str();
  const auto look = access.queue.find(job.request->deployment_id, access.stop);
  if (!look) {
    return failed(look.error());
  }
  if (const std::string why_not = obstacle(id, *look); !why_not.empty()) {
    complain(why_not);
    return Exit::failed;
  }
  const auto place = access.queue.submit(element, access.stop);
  if (!place) {
    return failed(place.error());
  }
  options.json ? fmt::print("{}", dumped({{"deployment", id}, {"place", *place}}))
               : fmt::print("{} is queued, place {}\n", id, *place);
  return Exit::ok;
}

}  // namespace

void add_submit(CommandLine& line) {
  const auto options = std::make_shared<Options>();
  CLI::App& verb = line.verb(
      nullptr, "submit", "Queue a job, as the platform does",
      "  deployra-builder submit job.json        the object the platform would queue\n"
      "  jq -c .job saved.json | deployra-builder submit -   from another program\n"
      "\nA job (docs/protocol.md has all its fields):\n"
      "  {\"deploymentId\": \"d0exampleexample0001\", \"serviceId\": \"s0exampleexample0001\",\n"
      "   \"gitProvider\": {\"type\": \"GITHUB\"}, \"repositoryName\": \"octo/hello\", \"branch\": "
      "\"main\",\n"
      "   \"environmentVariables\": [{\"key\": \"NODE_ENV\", \"value\": \"production\"}]}",
      [options] {
        // First: while a person still types it, Ctrl+C ends the program as ever.
        const auto read = read_job(options->file);
        return read ? with_queue([&](const QueueAccess& access) {
          return submit(*read, *options, access);
        })
                    : failed(read.error());
      });
  verb.add_option("JOB", options->file, "A file with one JSON object; - reads standard input")
      ->required()
      ->type_name("FILE");
  verb.add_flag("--json", options->json, "Print the place as an object");
}

}  // namespace builder::app::cli
