// A job is read or refused with a short line; what is read adds no line to the .env, and what
// becomes an argument is no option.
#include "domain/deployment_request.hpp"
#include "domain/dotenv.hpp"
#include "domain/request_secrets.hpp"
#include "domain/source_spec.hpp"

#include "fuzz/target.hpp"

#include <algorithm>

BUILDER_FUZZ(job) {
  using namespace builder;
  const domain::ParsedJob job = domain::parse_job(input);
  if (!job.request) {
    fuzz::expect(job.request.error().customer.size() <= 191, "the customer's line is too long");
    return;
  }
  const domain::DotenvFile file = domain::write_dotenv(job.request->environment);
  fuzz::expect(std::ranges::count(file.content, '\n') == static_cast<long>(file.written),
               "a variable adds a line: " + file.content);
  static_cast<void>(domain::secrets_of(*job.request));
  if (const auto spec = domain::resolve_source(*job.request, "https://github.com")) {
    fuzz::expect(!spec->url.starts_with('-') && spec->url.starts_with("http"),
                 "no address: " + spec->url);
  } else {
    fuzz::expect(spec.error().customer.size() <= 191, "the customer's line is too long");
  }
}
