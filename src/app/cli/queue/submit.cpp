#include "app/cli/queue/access.hpp"
#include "app/cli/queue/queue_text.hpp"
#include "base/text.hpp"
#include "domain/deployment_request.hpp"
#include "domain/source_spec.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <istream>
#include <memory>

namespace builder::app::cli {

namespace {

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

std::string trimmed(const std::string& text) {
  constexpr const char* k_blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(k_blanks);
  return first == std::string::npos
             ? std::string()
             : text.substr(first, text.find_last_not_of(k_blanks) - first + 1);
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

Exit submit(const std::string& element, const QueueAccess& access) {
  const domain::ParsedJob job = domain::parse_job(element);
  if (!job.request) {
    return failed(job.request.error());
  }
  if (const auto source = domain::resolve_source(*job.request, access.github_url); !source) {
    return failed(source.error());
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
  fmt::print("{} is queued, place {}\n", id, *place);
  return Exit::ok;
}

}  // namespace

void add_submit(CommandLine& line) {
  const auto file = std::make_shared<std::string>();
  line.verb(nullptr, "submit", "Queue a job, as the platform does",
            "  deployra-builder submit job.json        the object the platform would queue\n"
            "  jq -c .job saved.json | deployra-builder submit -   from another program",
            [file] {
              // First: while a person still types it, Ctrl+C ends the program as ever.
              const auto read = read_job(*file);
              return read ? with_queue([&](const QueueAccess& access) {
                return submit(trimmed(*read), access);
              })
                          : failed(read.error());
            })
      .add_option("JOB", *file, "A file with one JSON object; - reads standard input")
      ->required()
      ->type_name("FILE");
}

}  // namespace builder::app::cli
