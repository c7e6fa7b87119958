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
      {"could not find image from tag r.example.com/app:1: image does not exist",
       PushFault::image_missing},
      {"tag does not exist: 127.0.0.1:5000/x:y", PushFault::image_missing},
      {"Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
       PushFault::registry_away},
  };
  for (const auto& [text, fault] : cases) {
    EXPECT_EQ(classify_push_error(text), fault) << text;
  }
}

// As engines word them; the registry's own codes stand before a colon.
TEST(PushFault, APushThatBreaksIsTheRegistryAway) {
  for (const char* text : {
           "write tcp 10.0.0.2:51000->10.0.0.9:443: use of closed network connection",
           "http2: client connection lost",
           "http2: server sent GOAWAY and closed the connection; LastStreamID=1999, "
           "ErrCode=NO_ERROR",
           "stream error: stream ID 27; INTERNAL_ERROR; received from peer",
           "http2: Transport: cannot retry err after Request.Body was written",
           "read tcp 10.0.0.2:51000->10.0.0.9:443: read: connection reset by peer",
           "write tcp 10.0.0.2:51000->10.0.0.9:443: write: broken pipe",
           "dial tcp 10.0.0.9:443: connect: connection timed out",
           "read tcp 10.0.0.2:51000->10.0.0.9:443: read: connection timed out",
           "dial tcp 10.0.0.9:443: i/o timeout",
           "dial tcp 10.0.0.9:443: connect: no route to host",
           "dial tcp 10.0.0.9:443: connect: network is unreachable",
           "dial tcp 10.0.0.9:443: connect: host is down",
           "dial tcp: lookup registry.example: no such host",
           "dial tcp: lookup registry.example on 127.0.0.53:53: server misbehaving",
           "dial tcp: lookup registry.example: Try again",
           "dial tcp: lookup registry.example: Temporary failure in name resolution",
           "Put \"https://registry.example/v2/x\": EOF",
           "unexpected EOF",
           "net/http: TLS handshake timeout",
           "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
           "context deadline exceeded",
           "http: server closed idle connection",
           "unexpected status from POST request to https://h/v2/x/blobs/uploads/: 408 Request "
           "Timeout",
           "received unexpected HTTP status: 408 Request Timeout",
           "received unexpected HTTP status: 502 Bad Gateway",
           "unexpected status from PUT request to https://h/v2/x: 504 Gateway Timeout",
           "error parsing HTTP 500 response body: 500 Internal Server Error",
           "rpc error: code = Unavailable desc = transport is closing",
       }) {
    EXPECT_EQ(classify_push_error(text), PushFault::registry_away) << text;
    const Error error = push_error(classify_push_error(text), text);
    EXPECT_TRUE(error.is_transient() && error.customer.contains("did not answer")) << text;
    EXPECT_EQ(error.setting, "") << text;
  }
}

TEST(PushFault, A403WithoutTheRegistrysWordsIsNotARefusal) {
  for (const char* text :
       {"unexpected status from HEAD request to https://h/v2/x/manifests/t: 403 Forbidden",
        "error parsing HTTP 403 response body: invalid character '<' looking for beginning of "
        "value",
        "HEAD https://h/v2/x: unexpected status code 403 Forbidden"}) {
    EXPECT_EQ(classify_push_error(text), PushFault::forbidden) << text;
  }
  EXPECT_EQ(classify_push_error("unexpected status: 403 Forbidden: denied: not yours"),
            PushFault::denied);
}

TEST(PushFault, APageOrABare404IsNotTheRegistry) {
  for (const char* text :
       {"error parsing HTTP 404 response body: invalid character '<' looking for beginning of "
        "value: \"<html>\"",
        "error parsing HTTP 404 response body: invalid character 'p' after top-level value: \"404 "
        "page not found\"",
        "error parsing HTTP 200 response body: invalid character '<' looking for beginning of "
        "value",
        "unexpected status from POST request to https://h/v2/x/blobs/uploads/: 404 Not Found",
        "unexpected status from PUT request to https://h/v2/x/manifests/t: 405 Method Not Allowed",
        "unexpected status from POST request to https://portal/login: 200 OK",
        "received unexpected HTTP status: 302 Found"}) {
    EXPECT_EQ(classify_push_error(text), PushFault::stranger) << text;
    EXPECT_TRUE(push_error(classify_push_error(text), text).is_transient()) << text;
  }
  for (const char* text :
       {"unexpected status from PUT request to https://h/v2/x/manifests/t: 400 Bad Request",
        "manifest invalid: manifest invalid"}) {
    EXPECT_EQ(classify_push_error(text), PushFault::other) << text;
  }
}

TEST(PushFault, WhatRefusesEveryImageIsTheOperators) {
  for (const char* text :
       {"tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "http: server gave HTTP response to HTTPS client",
        "denied: User: arn:x is not authorized to perform: ecr:InitiateLayerUpload",
        "no basic auth credentials"}) {
    EXPECT_NE(push_error(classify_push_error(text), text).setting, "") << text;
  }
  EXPECT_EQ(push_error(PushFault::other, "manifest invalid").setting, "");
}

}  // namespace
}  // namespace builder::adapters::oci
