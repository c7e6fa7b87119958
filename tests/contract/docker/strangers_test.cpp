// What is made of answers at DOCKER_HOST that are not the Engine's, on a real wire.
#include "adapters/docker/engine.hpp"
#include "fakes/loopback_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::docker {
namespace {

using fakes::LoopbackServer;
using fakes::Stranger;
using testing::HasSubstr;

class StrangerTest : public testing::TestWithParam<Stranger> {
 protected:
  static void expect_stranger(const Error& error) {
    EXPECT_EQ(error.kind, ErrorKind::unavailable) << error.message;
    EXPECT_THAT(error.message, HasSubstr("something that is not the Docker Engine answered"));
    EXPECT_THAT(error.message, HasSubstr("DOCKER_HOST"));
    EXPECT_THAT(error.message, HasSubstr(GetParam().shown));
  }

  LoopbackServer server_{[](const std::string&) { return GetParam().answer; }};
  std::unique_ptr<http::Client> http_ = http::make_client();
  std::unique_ptr<Engine> engine_ =
      make_engine(parse_engine_address("tcp://" + server_.host()).value(), *http_);
};

TEST_P(StrangerTest, IsNoEngine) {
  expect_stranger(engine_->version({}).error());
  expect_stranger(engine_->images_of("x", {}).error());
  expect_stranger(engine_->remove("x", {}).error());
  EXPECT_EQ(engine_->images_of("x", {}).error().setting, "DOCKER_HOST");
}

TEST_P(StrangerTest, BreaksAPushOffAndRefusesNothing) {
  const auto pushed =
      engine_->push("h/x", "t", nullptr, {}, SteadyTime::max(), [](oci::PushedBytes) {});
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().fault, oci::PushFault::engine) << pushed.error().error.message;
  EXPECT_TRUE(pushed.error().error.is_transient());
  EXPECT_THAT(pushed.error().error.message, HasSubstr(GetParam().shown));
}

INSTANTIATE_TEST_SUITE_P(Of, StrangerTest, testing::ValuesIn(fakes::strangers()),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace builder::adapters::docker
