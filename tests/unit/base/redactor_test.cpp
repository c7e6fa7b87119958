#include "base/redactor.hpp"

#include "base/secret_store.hpp"
#include "base/text.hpp"
#include "fakes/random_text.hpp"

#include <gtest/gtest.h>

#include <random>

namespace builder {
namespace {

std::shared_ptr<const Redactor> redactor(std::vector<std::string> secrets) {
  std::vector<NamedSecret> named;
  for (std::string& secret : secrets) {
    named.push_back({"s", Secret(std::move(secret))});
  }
  return std::make_shared<Redactor>(named);
}

TEST(Redactor, TakesOutEveryFormOfASecret) {
  const auto subject = redactor({"p@ss w/rd\"1"});
  for (const char* form :
       {"p@ss w/rd\"1", "p%40ss%20w%2Frd%221", "p%40ss%20w%2frd%221", "p%40ss+w%2Frd%221",
        "p@ss w/rd\\\"1", "7040737320772f72642231", "7040737320772F72642231"}) {
    EXPECT_EQ(subject->redact(std::string("<") + form + ">"), "<[REDACTED]>") << form;
  }
}

TEST(Redactor, FindsBase64AtEveryPhase) {
  const std::string secret = "correct-horse-battery";
  const auto subject = redactor({secret});
  for (const char* before : {"", "a", "ab", "abc"}) {
    for (const char* after : {"", "x", "xy"}) {
      const std::string shown = subject->redact(base64_encode(before + secret + after));
      EXPECT_TRUE(shown.contains("[REDACTED]")) << before << " " << after << " " << shown;
    }
  }
}

TEST(Redactor, FindsTheLinesOfAMultiLineSecret) {
  const auto subject = redactor({"first line of it\nsecond line of it\nxy"});
  EXPECT_EQ(subject->redact("second line of it"), "[REDACTED]");
  EXPECT_EQ(subject->redact("xy"), "xy");
}

TEST(Redactor, TheLongestAtTheLeftWinsAndOverlapsMerge) {
  EXPECT_EQ(redactor({"abcdef", "abcdefghi"})->redact("1abcdefghij"), "1[REDACTED]j");
  EXPECT_EQ(redactor({"abcdef", "defxyz"})->redact("abcdefxyz"), "[REDACTED]");
  EXPECT_EQ(redactor({"abcdef"})->redact("abcdefabcdef"), "[REDACTED][REDACTED]");
}

TEST(Redactor, ShortAndCommonValuesAreNamedInsteadOfSearched) {
  const Redactor subject({{"A", Secret("12345")}, {"B", Secret("production")}, {"C", Secret("")}});
  EXPECT_EQ(subject.skipped(), (std::vector<std::string>{"A", "B"}));
  EXPECT_EQ(subject.redact("12345 production"), "12345 production");
}

TEST(Redactor, KnowsCredentialsByTheirShape) {
  const auto subject = redactor({});
  EXPECT_EQ(subject->redact("https://user:pa:ss@host/x"), "https://[REDACTED]@host/x");
  EXPECT_EQ(subject->redact("https://host:8080/x@y"), "https://host:8080/x@y");
  EXPECT_EQ(subject->redact("gho_0123456789abcdefghijklm."), "[REDACTED].");
  EXPECT_EQ(subject->redact("gho_short"), "gho_short");
  EXPECT_EQ(subject->redact("AKIAIOSFODNN7EXAMPLE"), "[REDACTED]");
  EXPECT_EQ(subject->redact("authorization: Basic dXNlcjpwYXNz"),
            "authorization: Basic [REDACTED]");
}

TEST(RedactingStream, GivesTheSameForEveryWayToCutTheText) {
  const auto subject = redactor({"secret-one", "one-secret", "aaaaaaab", "s3cr3t/+=val"});
  const std::string text =
      "x secret-one-secret y aaaaaaaaaaaab z\nsecret-on secret-one" + base64_encode("s3cr3t/+=val");
  const std::string whole = subject->redact(text);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    RedactingStream stream(subject);
    std::string out = stream.feed(text.substr(0, cut));
    out += stream.feed(text.substr(cut));
    out += stream.finish();
    ASSERT_EQ(out, whole) << "cut at " << cut;
  }
  std::mt19937_64 random(7);
  for (int round = 0; round < 500; ++round) {
    RedactingStream stream(subject);
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = 1 + random() % 9;
      out += stream.feed(text.substr(at, size));
      at += size;
    }
    out += stream.finish();
    ASSERT_EQ(out, whole) << "round " << round;
  }
}

/// What must come out, in the plainest words: every byte that some secret covers is gone, and each
/// run of overlapping secrets is replaced once. For secrets whose other forms cannot appear.
std::string plainly_redacted(const std::vector<std::string>& secrets, const std::string& text) {
  struct Run {
    std::size_t begin;
    std::size_t end;
  };

  std::vector<Run> runs;
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const std::string& secret : secrets) {
      if (text.compare(at, secret.size(), secret) != 0) {
        continue;
      }
      if (runs.empty() || at >= runs.back().end) {
        runs.push_back({at, at + secret.size()});
      } else {
        runs.back().end = std::max(runs.back().end, at + secret.size());
      }
    }
  }
  std::string out;
  std::size_t done = 0;
  for (const Run& run : runs) {
    out += text.substr(done, run.begin - done) + "[REDACTED]";
    done = run.end;
  }
  return out + text.substr(done);
}

TEST(RedactingStream, AgreesWithAPlainSearchForEveryTextAndEveryCut) {
  fakes::RandomText letters(11, {"a", "b", "ab", "-", " ", "aaaaaa"});
  for (int round = 0; round < 400; ++round) {
    std::vector<std::string> secrets;
    for (std::size_t left = 1 + letters.below(3); left > 0; --left) {
      secrets.push_back(letters.make(5) + "-ab-ab");
    }
    const auto subject = redactor(secrets);
    std::string text;
    for (std::size_t left = letters.below(5); left > 0; --left) {
      const std::string& secret = secrets[letters.below(secrets.size())];
      text += letters.make(4) + secret.substr(letters.below(4), letters.below(secret.size() + 4));
    }
    const std::string expected = plainly_redacted(secrets, text);
    ASSERT_EQ(subject->redact(text), expected) << testing::PrintToString(secrets) << text;
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      RedactingStream stream(subject);
      std::string out = stream.feed(text.substr(0, cut));
      out += stream.feed(text.substr(cut));
      ASSERT_EQ(out + stream.finish(), expected)
          << testing::PrintToString(secrets) << text << " cut at " << cut;
    }
    RedactingStream stream(subject);
    std::string out;
    for (const std::string& chunk : letters.cut(text, 3)) {
      out += stream.feed(chunk);
    }
    ASSERT_EQ(out + stream.finish(), expected) << testing::PrintToString(secrets) << text;
  }
}

TEST(RedactingStream, ShapesOfCredentialsAreFoundForEveryCut) {
  fakes::RandomText words(12, {"gho_",     "github_pat_",
                               "AKIA",     "ABCDEFGH01234567",
                               "https://", "u:p@",
                               "host/",    " ",
                               "\n",       "Authorization: ",
                               "Basic ",   "\"",
                               "'",        "=",
                               "a",        "0123456789abcdefghij",
                               ":",        "@",
                               "/",        "_"});
  for (int round = 0; round < 400; ++round) {
    const std::string text = words.make(9);
    const std::string whole = redactor({})->redact(text);
    for (const std::size_t longest : {1u, 2u, 7u, 40u}) {
      RedactingStream stream(redactor({}));
      std::string out;
      for (const std::string& chunk : words.cut(text, longest)) {
        out += stream.feed(chunk);
      }
      ASSERT_EQ(out + stream.finish(), whole) << testing::PrintToString(text);
    }
  }
}

TEST(SecretStore, KnowsASecretAsLongAsItsRegistrationLives) {
  SecretStore store;
  store.add_forever({{"forever", Secret("forever-secret")}});
  {
    const auto registration = store.add({{"job", Secret("job-secret")}});
    EXPECT_EQ(store.redactor()->redact("job-secret forever-secret"), "[REDACTED] [REDACTED]");
  }
  EXPECT_EQ(store.redactor()->redact("job-secret forever-secret"), "job-secret [REDACTED]");
}

TEST(Text, CutsAtCharactersNotBytes) {
  EXPECT_EQ(cut_characters("äöü", 3), "äöü");
  EXPECT_EQ(cut_characters("äöüß", 3), "äö…");
  EXPECT_EQ(cut_characters(std::string(300, 'x'), 191).size(), 190 + 3u);
  EXPECT_EQ(one_line("  a\n\tb \x01 c\r\n"), "a b c");
}

TEST(Text, KnowsValidUtf8) {
  EXPECT_TRUE(is_utf8("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"));
  for (const char* bad :
       {"\x80", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC3"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
  EXPECT_EQ(sha256_hex("").substr(0, 16), "e3b0c44298fc1c14");
}

}  // namespace
}  // namespace builder
