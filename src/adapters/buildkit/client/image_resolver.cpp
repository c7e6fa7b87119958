#include "adapters/buildkit/client/image_resolver.hpp"

#include "adapters/buildkit/client/daemon.hpp"
#include "adapters/buildkit/client/session.hpp"
#include "adapters/buildkit/diagnosis/foreign_base.hpp"
#include "adapters/oci/client.hpp"

#include "buildkit_control.grpc.pb.h"
#include "buildkit_gateway.grpc.pb.h"

#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <stop_token>
#include <string_view>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

namespace control = moby::buildkit::v1;
namespace gateway = moby::buildkit::v1::frontend;

/// Names the solve that a call belongs to (client/buildid of BuildKit).
constexpr const char* k_build_id = "buildkit-controlapi-buildid";

gateway::Platform wire_platform(std::string_view name) {
  const domain::PlatformParts parts = domain::platform_parts(name);
  gateway::Platform platform;
  platform.set_os(parts.system);
  platform.set_architecture(parts.machine);
  platform.set_variant(parts.variant);
  return platform;
}

/// A call under way. It has ended when the object is destroyed.
template <class Request, class Response>
class Call {
 public:
  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  ~Call() {
    if (ended_.valid()) {
      context.TryCancel();
      ended_.wait();
    }
  }

  template <class Start>
  void start(Start&& start) {
    ended_ = promise_.get_future();
    std::forward<Start>(start)(&context, &request, &response, [this](grpc::Status status) {
      promise_.set_value(std::move(status));
    });
  }

  grpc::Status wait() { return ended_.get(); }

  grpc::ClientContext context;
  Request request;
  Response response;

 private:
  std::promise<grpc::Status> promise_;
  std::future<grpc::Status> ended_;
};

using Lead = Call<control::SolveRequest, control::SolveResponse>;
using Question = Call<gateway::ResolveImageConfigRequest, gateway::ResolveImageConfigResponse>;

}  // namespace

std::vector<std::optional<ResolvedImage>> resolve_images(
    const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel,
    const std::string& session, const std::vector<ImageQuestion>& questions) {
  const auto deadline = std::chrono::system_clock::now() +
                        std::chrono::duration_cast<std::chrono::system_clock::duration>(
                            job.within(k_answer_limit).deadline - std::chrono::steady_clock::now());
  const auto solves = control::Control::NewStub(channel);
  const auto bridge = gateway::LLBBridge::NewStub(channel);
  const std::string id = random_id();

  Lead lead;  // Ends behind the questions that belong to it.
  std::deque<Question> asked;
  lead.context.set_deadline(deadline);
  lead.request.set_ref(id);
  lead.request.set_session(session);
  lead.request.set_internal(true);
  lead.start([&](auto&&... arguments) {
    solves->async()->Solve(std::forward<decltype(arguments)>(arguments)...);
  });
  for (const auto& [name, platform] : questions) {
    Question& question = asked.emplace_back();
    // A solve that does not come to be is waited for by the daemon.
    question.context.set_deadline(deadline);
    question.context.AddMetadata(k_build_id, id);
    question.request.set_ref(name);
    *question.request.mutable_platform() = wire_platform(platform);
    question.request.set_log_name("resolve " + name);
    question.start([&](auto&&... arguments) {
      bridge->async()->ResolveImageConfig(std::forward<decltype(arguments)>(arguments)...);
    });
  }
  const std::stop_callback cancel(job.stop, [&asked] {
    for (Question& question : asked) {
      question.context.TryCancel();
    }
  });
  std::vector<std::optional<ResolvedImage>> found;
  for (Question& question : asked) {
    if (const grpc::Status status = question.wait(); status.ok()) {
      found.emplace_back(
          ResolvedImage{.digest = question.response.digest(),
                        .platform = oci::platform_of_config(question.response.config())});
    } else {
      job.log.debug("{} is not found: {}", question.request.ref(), status.error_message());
      found.emplace_back(std::nullopt);
    }
  }
  return found;
}

}  // namespace builder::adapters::buildkit
