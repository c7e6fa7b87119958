// What is made of a progress stream that does not end as it should. The daemon is a gRPC server of
// our own: a real one cannot be made to do this.
#include "adapters/buildkit/client/solve.hpp"

#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>

namespace builder::adapters::buildkit {
namespace {

namespace wire = moby::buildkit::v1;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Daemon final : public wire::Control::Service {
 public:
  std::function<grpc::Status(const grpc::ServerContext&)> end_of_status;
  grpc::Status verdict;

  grpc::Status Solve(grpc::ServerContext*, const wire::SolveRequest*,
                     wire::SolveResponse*) override {
    told_.get_future().wait();
    return verdict;
  }

  grpc::Status Status(grpc::ServerContext* context, const wire::StatusRequest*,
                      grpc::ServerWriter<wire::StatusResponse>* out) override {
    wire::StatusResponse message;
    auto* log = message.add_logs();
    log->set_vertex("a");
    log->set_msg("a line\n");
    out->Write(message);
    told_.set_value();
    return end_of_status(*context);
  }

 private:
  std::promise<void> told_;
};

class SolveTest : public testing::Test {
 protected:
  SolveOutcome solve() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&daemon_);
    const auto server = builder.BuildAndStart();
    const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                             grpc::InsecureChannelCredentials());
    Progress progress(events_, 1);
    wire::SolveRequest request;
    request.set_ref("ref");
    return run_solve(channel, nullptr, {}, request, progress);
  }

  Daemon daemon_;
  fakes::RecordingEvents events_;
};

TEST_F(SolveTest, AStreamThatEndsIsComplete) {
  daemon_.end_of_status = [](const auto&) { return grpc::Status::OK; };
  EXPECT_TRUE(solve().status.ok());
  EXPECT_THAT(events_.lines(), Contains(HasSubstr("a line")));
  EXPECT_THAT(events_.lines(), Not(Contains(StartsWith("lost"))));
}

TEST_F(SolveTest, AStreamThatBreaksMayLackOutput) {
  daemon_.end_of_status = [](const auto&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "transport is closing");
  };
  EXPECT_TRUE(solve().status.ok());
  EXPECT_THAT(events_.lines(), Contains(StartsWith("lost The build engine did not end")));
}

TEST_F(SolveTest, AStreamThatFallsSilentIsGivenUpAndMayLackOutput) {
  daemon_.end_of_status = [](const grpc::ServerContext& context) {
    while (!context.IsCancelled()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return grpc::Status::CANCELLED;
  };
  const SolveOutcome outcome = solve();
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_GE(outcome.tail, std::chrono::seconds(3));
  EXPECT_THAT(events_.lines(), Contains(StartsWith("lost The build engine did not end")));
}

}  // namespace
}  // namespace builder::adapters::buildkit
