#include "adapters/http/client.hpp"
#include "app/compose/platform_parts.hpp"
#include "app/doctor/checks.hpp"
#include "app/doctor/dated_answer.hpp"

#include <string>

namespace builder::app {

void check_platform(const Circumstances& now, Report& report) {
  const auto http = adapters::http::make_client();
  PlatformParts platform(now.config, *http);
  const auto answered = platform.check(now.stop);
  if (answered) {
    report.ok("service", now.config.api_url + " is the platform's API");
    report.ok("key", "it takes API_KEY");
  } else if (answered.error().kind == ErrorKind::denied) {
    report.ok("service", now.config.api_url + " is the platform's API");
    report.failure("key", answered.error(),
                   {.setting = "API_KEY", .cure = "set it to the platform's WEBHOOK_API_KEY"});
  } else {
    report.failure("service", answered.error(),
                   {.setting = "API_URL",
                    .cure = "start the platform's API, or correct its address (it ends in /api)"});
    report.not_tried("key", "the platform does not answer");
    return;
  }
  compare_dates(now, *http, "the API", now.config.api_url, report);
}

}  // namespace builder::app
