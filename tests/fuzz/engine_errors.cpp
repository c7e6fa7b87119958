// Whatever an engine says of a build that failed becomes one short line for a person.
#include "adapters/buildkit/client/engine_info.hpp"
#include "adapters/buildkit/client/progress.hpp"
#include "adapters/buildkit/diagnosis/build_error.hpp"
#include "adapters/buildkit/diagnosis/error_details.hpp"
#include "adapters/oci/push_fault.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "fakes/characters.hpp"

#include "buildkit_control.pb.h"
#include "fuzz/target.hpp"

#include <algorithm>
#include <array>

namespace {

/// As many as are asked for, with a NUL between them; the last one is all the rest.
template <std::size_t count>
std::array<std::string, count> parts_of(std::string_view input) {
  std::array<std::string, count> parts;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t end =
        i + 1 == count ? input.size() : std::min(input.find('\0'), input.size());
    parts.at(i) = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  return parts;
}

class NoEvents final : public builder::domain::EventSink {
 public:
  void emit(builder::domain::BuildEvent /*event*/) override {}
};

}  // namespace

BUILDER_FUZZ(engine_errors) {
  using namespace builder;
  using namespace builder::adapters;
  const auto code = static_cast<grpc::StatusCode>(fuzz::take_byte(input) % 17);
  const auto [message, name, error, output, text, details] = parts_of<6>(input);
  static_cast<void>(buildkit::read_details({code, message, std::string(input)}));
  const buildkit::Explanation told = buildkit::explain({.status = {code, message, details},
                                                        .steps = {{.number = 1,
                                                                   .digest = "sha256:1",
                                                                   .name = printable_line(name),
                                                                   .error = error,
                                                                   .output = output}},
                                                        .dockerfile = "Dockerfile",
                                                        .dockerfile_text = text,
                                                        .registry = "registry.example"});
  const std::string& line = told.error.customer;
  fuzz::expect(is_utf8(line), "the customer's line is no UTF-8");
  fuzz::expect(fakes::characters_of(line) <= buildkit::k_customer_limit,
               "the customer's line is too long: " + line);
  fuzz::expect(std::ranges::none_of(line, [](unsigned char c) { return c < 0x20 || c == 0x7F; }),
               "the customer's line has a control character: " + line);
  for (const std::string& row : told.excerpt) {
    fuzz::expect(!row.contains('\n'), "a row of the excerpt has two");
  }
  if (moby::buildkit::v1::StatusResponse progress; progress.ParseFromString(details)) {
    NoEvents events;
    buildkit::Progress steps(events, 1);
    steps.apply(progress);
    steps.apply(progress);
    steps.finish();
    fuzz::expect(steps.failed().size() <= 2U * static_cast<std::size_t>(progress.vertexes_size()),
                 "steps failed that nobody told of");
  }
  static_cast<void>(
      buildkit::wrong_platform("Dockerfile", text, {{.line = 1, .text = output}}, name));
  static_cast<void>(oci::push_error(oci::classify_push_error(message), message));
  static_cast<void>(buildkit::docker_engine_info(
      message, name, {.version = error, .labels = {{output, text}}, .platform = details}));
}
