#include "adapters/oci/push_fault.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace builder::adapters::oci {
namespace {

TEST(PushFault, SortsErrorsByWhatCanBeDoneAboutThem) {
  const std::vector<std::pair<const char*, PushFault>> cases{
      {"name unknown: The repository with name 'x' does not exist in the registry with id '1'",
       PushFault::repository_missing},
      {"failed to push 1.dkr/x:t: unknown: The repository with name 'x' does not exist in the "
       "registry with id '1'",
       PushFault::repository_missing},
      {"failed to push h/x:t: unexpected status from HEAD request to http://h/v2/x/blobs/sha256:1: "
       "503 Service Unavailable",
       PushFault::registry_away},
      {"failed to push h/x:t: unexpected status from POST request to http://h/v2/x/blobs/uploads/: "
       "401 Unauthorized",
       PushFault::unauthorized},
      {"denied: Your authorization token has expired. Reauthenticate and try again.",
       PushFault::token_expired},
      {"toomanyrequests: Rate exceeded", PushFault::registry_busy},
      {"unauthorized: authentication required", PushFault::unauthorized},
      {"no basic auth credentials", PushFault::unauthorized},
      {"denied: User: arn:x is not authorized to perform: ecr:InitiateLayerUpload",
       PushFault::denied},
      {"tag invalid: The image tag 't' already exists in the 'r' repository and cannot be "
       "overwritten "
       "because the tag is immutable.",
       PushFault::tag_immutable},
      {"An image does not exist locally with the tag: x", PushFault::image_missing},
      {"tag does not exist: 127.0.0.1:5000/x:y", PushFault::image_missing},
      {"Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
       PushFault::registry_away},
  };
  for (const auto& [text, fault] : cases) {
    EXPECT_EQ(classify_push_error(text), fault) << text;
  }
}

}  // namespace
}  // namespace builder::adapters::oci
