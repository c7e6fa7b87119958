#include "adapters/buildkit/image_builder.hpp"

#include <grpc/support/log.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "adapters/buildkit/failure.hpp"
#include "adapters/buildkit/progress.hpp"
#include "adapters/buildkit/session.hpp"
#include "base/text.hpp"
#include "buildkit_control.grpc.pb.h"

namespace builder::adapters::buildkit {

namespace {

namespace bk = moby::buildkit::v1;
using ports::BuiltImage;
using ports::ImageSpec;
using ports::JobContext;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds k_connect_patience{10};
/// After Solve has returned, the status stream ends by itself within milliseconds; a refused Solve may
/// leave it waiting for a job that never comes.
constexpr std::chrono::seconds k_status_patience{3};
constexpr std::chrono::seconds k_engine_patience{30};
constexpr std::chrono::milliseconds k_engine_interval{500};
constexpr std::size_t k_dockerfile_limit = 1u << 20;
constexpr int k_metadata_limit = 16 * 1024 * 1024;

/// gRPC writes to stderr by itself; what matters comes back as a status.
void silence_grpc() {
  gpr_set_log_function([](gpr_log_func_args*) {});
}

/// A session and a control channel, connected.
struct Connected {
  std::unique_ptr<Session> session;
  // grpc++ shares channels by nature.
  std::shared_ptr<grpc::Channel> channel;
};

class EngineImageBuilder final : public ports::ImageBuilder {
 public:
  EngineImageBuilder(BuildKitConfig config, Log log)
      : config_(std::move(config)), log_(std::move(log)) {
    silence_grpc();
  }

  void prepare(const JobContext&) override {
    // The connection costs about 3 ms at the Engine, less than a thread to hide it in.
  }

  Result<BuiltImage> build(const JobContext& job, const ImageSpec& image,
                           domain::EventSink& events) override {
    auto built = attempt(job, image, events);
    if (built || built.error().kind != ErrorKind::unavailable || job.stop.stop_requested()) {
      return built;
    }
    log_.warning("the engine was lost, building once more: {}", built.error().message);
    events.warning("The build engine was interrupted; building once more");
    BUILDER_TRY(wait_for_engine(job));
    return attempt(job, image, events);
  }

 private:
  Result<Connected> connect(const JobContext& job, const std::string& shared_key) const {
    const SteadyTime deadline = std::min(job.deadline, Clock::now() + k_connect_patience);
    Connected connected;
    connected.session = std::make_unique<Session>(
        SessionContent{.shared_key = shared_key, .credentials = {}});
    BUILDER_TRY_ASSIGN(Fd session, upgrade(config_.engine, "/session", connected.session->headers(),
                                           job.stop, deadline));
    connected.session->serve(std::move(session));
    BUILDER_TRY_ASSIGN(Fd control, upgrade(config_.engine, "/grpc", {}, job.stop, deadline));
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    // Error details come as trailing metadata.
    arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, k_metadata_limit);
    connected.channel =
        grpc::CreateCustomInsecureChannelFromFd("localhost", control.release(), arguments);
    return connected;
  }

  Result<> wait_for_engine(const JobContext& job) const {
    const SteadyTime until = std::min(job.deadline, Clock::now() + k_engine_patience);
    for (;;) {
      auto connected = connect(job, "probe");
      if (connected) {
        return {};
      }
      if (connected.error().kind == ErrorKind::cancelled || Clock::now() > until) {
        return std::unexpected(std::move(connected).error());
      }
      if (!sleep_for(k_engine_interval, job.stop)) {
        return failure(ErrorKind::cancelled, "stopped while waiting for the engine");
      }
    }
  }

  static bk::SolveRequest request(const ImageSpec& image, const std::string& session) {
    bk::SolveRequest request;
    request.set_ref(random_hex(13));
    request.set_session(session);
    request.set_frontend("dockerfile.v0");
    auto& attributes = *request.mutable_frontend_attrs();
    attributes["filename"] = image.dockerfile;
    attributes["platform"] = "linux/amd64";
    // Old engines read the first form and skip the second, new ones the reverse.
    request.set_exporter("moby");
    (*request.mutable_exporter_attrs())["name"] = image.name;
    bk::Exporter& exporter = *request.add_exporters();
    exporter.set_type("moby");
    (*exporter.mutable_attrs())["name"] = image.name;
    return request;
  }

  Result<BuiltImage> attempt(const JobContext& job, const ImageSpec& image,
                             domain::EventSink& events) const {
    // The context's copy at the engine belongs to the service: another one must never be handed it.
    BUILDER_TRY_ASSIGN(Connected connected,
                       connect(job, "deployra-builder:" + image.service_id.str()));
    connected.session->set_context(image.context);
    const auto control = bk::Control::NewStub(connected.channel);
    const bk::SolveRequest solve = request(image, connected.session->id());

    grpc::ClientContext solve_context;
    grpc::ClientContext status_context;
    if (job.deadline != SteadyTime::max()) {
      solve_context.set_deadline(std::chrono::system_clock::now() + (job.deadline - Clock::now()));
    }
    const std::stop_callback on_stop(job.stop, [&] { solve_context.TryCancel(); });

    Progress progress(events);
    std::atomic<bool> status_seen = false;
    std::mutex mutex;
    std::condition_variable changed;
    bool status_ended = false;
    std::jthread watcher([&] {
      bk::StatusRequest asked;
      asked.set_ref(solve.ref());
      const auto stream = control->Status(&status_context, asked);
      for (bk::StatusResponse status; stream->Read(&status); status.Clear()) {
        status_seen = true;
        progress.take(status);
      }
      stream->Finish();
      const std::scoped_lock lock(mutex);
      status_ended = true;
      changed.notify_all();
    });

    bk::SolveResponse answer;
    const grpc::Status solved = control->Solve(&solve_context, solve, &answer);
    if (!solved.ok() && !status_seen) {
      status_context.TryCancel();
    }
    {
      std::unique_lock lock(mutex);
      if (!changed.wait_for(lock, k_status_patience, [&] { return status_ended; })) {
        // A reader that waits for room in the log is no reason to cut it, as long as nobody stops it.
        while (solved.ok() && !status_ended && !job.stop.stop_requested() &&
               Clock::now() < job.deadline) {
          changed.wait_for(lock, k_status_patience, [&] { return status_ended; });
        }
        status_context.TryCancel();
      }
    }
    watcher.join();
    const std::uint64_t sent = connected.session->bytes_sent();
    if (!solved.ok()) {
      return std::unexpected(explain_solve(job, image, solved, progress,
                                           connected.session->context_error(), events));
    }
    const auto& response = answer.exporter_response();
    auto digest = response.find("containerimage.config.digest");
    if (digest == response.end()) {
      digest = response.find("containerimage.digest");
    }
    return BuiltImage{.name = image.name,
                      .config_digest = digest == response.end() ? std::string() : digest->second,
                      .context_bytes_sent = sent};
  }

  Error explain_solve(const JobContext& job, const ImageSpec& image, const grpc::Status& solved,
                      const Progress& progress, const std::string& context_error,
                      domain::EventSink& events) const {
    if (job.stop.stop_requested()) {
      return {.kind = ErrorKind::cancelled, .message = "build stopped"};
    }
    if (solved.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED || Clock::now() >= job.deadline) {
      return {.kind = ErrorKind::timed_out, .message = "build took too long"};
    }
    if (solved.error_code() == grpc::StatusCode::UNAVAILABLE) {
      return {.kind = ErrorKind::unavailable, .message = "engine lost: " + solved.error_message()};
    }
    if (!context_error.empty()) {
      return {.kind = ErrorKind::build_failed,
              .message = "context: " + context_error,
              .customer = cut_characters("The build context could not be read: " + context_error, 191)};
    }
    SolveFailure known{.message = solved.error_message(),
                       .details = solved.error_details(),
                       .step = progress.failed(),
                       .dockerfile_path = image.dockerfile,
                       .dockerfile = {}};
    if (auto text = ports::read_file(*image.context, image.dockerfile, k_dockerfile_limit)) {
      known.dockerfile = *std::move(text);
    }
    ExplainedFailure explained = explain(known);
    std::string_view rest = explained.excerpt;
    while (!rest.empty()) {
      events.emit(domain::Message{domain::LogType::error, std::string(rest.substr(0, rest.find('\n')))});
      rest.remove_prefix(std::min(rest.find('\n') + 1, rest.size()));
    }
    return explained.error;
  }

  const BuildKitConfig config_;
  const Log log_;
};

}  // namespace

std::unique_ptr<ports::ImageBuilder> make_image_builder(BuildKitConfig config, Log log) {
  return std::make_unique<EngineImageBuilder>(std::move(config), std::move(log));
}

}  // namespace builder::adapters::buildkit
