#include "adapters/git/git_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::git {
namespace {

using ::testing::HasSubstr;

constexpr Asked k_asked{.host = "h", .repository = "shop/web", .authenticated = true};

struct Row {
  const char* words;
  ErrorKind kind;
  const char* customer;
};

TEST(GitFailure, IsSortedByGitsWords) {
  const Row table[] = {
      {"fatal: could not read Username for 'https://h': terminal prompts disabled",
       ErrorKind::denied, "password"},
      {"fatal: Authentication failed for 'https://h/x'", ErrorKind::denied, "settings"},
      {"fatal: unable to access 'https://h/x/': The requested URL returned error: 403",
       ErrorKind::denied, "denies"},
      {"fatal: repository 'https://h/x/' not found", ErrorKind::not_found,
       "shop/web was not found on h; check"},
      {"remote: Repository not found.\nfatal: repository 'x' not found", ErrorKind::not_found,
       "shop/web was not found on h; check"},
      {"fatal: unable to access 'x': The requested URL returned error: 301",
       ErrorKind::invalid_input, "moved"},
      {"fatal: unable to access 'x': The requested URL returned error: 503", ErrorKind::unavailable,
       "problem"},
      {"fatal: unable to access 'x': The requested URL returned error: 429", ErrorKind::unavailable,
       "limits"},
      {"fatal: unable to access 'x': Could not resolve host: h", ErrorKind::unavailable,
       "cannot be found"},
      {"fatal: unable to access 'x': Failed to connect to h port 1", ErrorKind::unavailable,
       "reached"},
      {"fatal: unable to access 'x': SSL certificate problem: self-signed certificate",
       ErrorKind::invalid_input, "certificate"},
      {"fatal: unable to access 'x': gnutls_handshake() failed: oh", ErrorKind::unavailable, "TLS"},
      {"fatal: unable to access 'x': Received HTTP code 407 from proxy after CONNECT",
       ErrorKind::unavailable, "proxy"},
      {"fatal: mismatched algorithms: client sha1; server sha256", ErrorKind::conflict, ""},
      {"remote: This project is over its quota\nfatal: unable to access 'x': The requested URL "
       "returned error: 403",
       ErrorKind::denied, "h says: This project is over its quota"},
      {"fatal: early EOF\nfatal: fetch-pack: invalid index-pack output", ErrorKind::unavailable,
       "broke"},
      {"fatal: write error: No space left on device", ErrorKind::unavailable, "disk"},
      {"error: index-pack died of signal 25", ErrorKind::invalid_input, "too large"},
      {"fatal: couldn't find remote ref refs/heads/x", ErrorKind::not_found, ""},
      {"fatal: remote error: upload-pack: not our ref 123", ErrorKind::not_found, ""},
      {"fatal: bad object HEAD", ErrorKind::internal, ""},
  };
  for (const Row& row : table) {
    const Error error = explain_git_failure(128, row.words, k_asked);
    EXPECT_EQ(error.kind, row.kind) << row.words;
    EXPECT_THAT(error.customer, HasSubstr(row.customer)) << row.words;
    EXPECT_EQ(error.customer.empty(), row.customer[0] == '\0') << row.words;
    EXPECT_LE(error.customer.size(), 191U);
  }
}

TEST(GitFailure, SpeaksOfTokensWhereThePlatformGetsThem) {
  const Error error =
      explain_git_failure(128, "fatal: Authentication failed for 'x'",
                          {.host = "github.com", .repository = "shop/web", .authenticated = true});
  EXPECT_THAT(error.customer, HasSubstr("expired: reconnect the account"));
}

TEST(GitFailure, AsksForAnAccountWhenNoneWasGiven) {
  const Error error = explain_git_failure(128, "fatal: could not read Username for 'https://h'",
                                          {.host = "h", .repository = "shop/web"});
  EXPECT_EQ(error.kind, ErrorKind::denied);
  EXPECT_THAT(error.customer, HasSubstr("connect an account"));
}

}  // namespace
}  // namespace builder::adapters::git
