#include "base/redactor.hpp"

#include "base/secret_store.hpp"
#include "base/text.hpp"
#include "fakes/random_text.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
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

/// The forms of a text that tools write, each by the rules of its kind.
class Writer {
 public:
  explicit Writer(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return random_() % limit; }

  std::string percent(std::string_view text, std::string_view kept, bool upper, bool plus) const {
    std::string out;
    for (const char c : text) {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0 || kept.contains(c)) {
        out += c;
      } else {
        out += plus && c == ' ' ? "+" : "%" + hex({&c, 1}, upper);
      }
    }
    return out;
  }

  std::string json(std::string_view text, bool ascii, bool html, bool slash) const {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\' || (slash && c == '/')) {
        out += std::string("\\") + c;
      } else if (c == '\n') {
        out += "\\n";
      } else if (c == '\r') {
        out += "\\r";
      } else if (html && (c == '<' || c == '>' || c == '&' || c == '\'')) {
        out += "\\u00" + hex({&c, 1}, i % 2 == 0);
      } else if (ascii && byte == 0xC3 && i + 1 < text.size()) {
        const char last = static_cast<char>(text[++i] + 0x40);
        out += "\\u00" + hex({&last, 1});
      } else {
        out += c;
      }
    }
    return out;
  }

  std::string html(std::string_view text, int kind) const {
    std::string out;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (kind > 0 && byte < 0x80 && std::isalnum(byte) == 0) {
        out += kind == 1 ? "&#" + std::to_string(byte) + ";" : "&#x" + hex({&c, 1}, true) + ";";
      } else {
        const std::size_t at = std::string_view("&<>\"'").find(c);
        constexpr std::array<const char*, 5> k_names{"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
        out += at == std::string_view::npos ? std::string(1, c) : k_names[at];
      }
    }
    return out;
  }

  std::string replaced(std::string_view text, std::string_view marks,
                       const std::string& front) const {
    std::string out;
    for (const char c : text) {
      out += marks.contains(c) ? front + c : std::string(1, c);
    }
    return out;
  }

  std::string quoted(std::string_view text, const std::string& quote) const {
    std::string out;
    for (const char c : text) {
      out += c == '\'' ? quote : std::string(1, c);
    }
    return out;
  }

  std::string spaced_hex(std::string_view text, const std::string& between, bool upper) const {
    std::string out;
    for (const char c : text) {
      out += (out.empty() ? "" : between) + hex({&c, 1}, upper);
    }
    return out;
  }

  std::string base64(std::string_view text, std::size_t phase, bool url, std::size_t width) {
    std::string before;
    while (before.size() < phase) {
      before += static_cast<char>(below(256));
    }
    std::string out = base64_encode(before + std::string(text));
    if (url) {
      std::ranges::replace(out, '+', '-');
      std::ranges::replace(out, '/', '_');
    }
    for (std::size_t at = width; width > 0 && at < out.size(); at += width + 1) {
      out.insert(at, "\n");
    }
    return out;
  }

  /// Colours between the characters.
  std::string coloured(std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (!out.empty() && (static_cast<unsigned char>(c) & 0xC0U) != 0x80 && below(6) == 0) {
        out += below(2) == 0 ? "\x1B[0m" : "\x1B[1;31m";
      }
      out += c;
    }
    return out;
  }

  std::vector<std::string> forms(const std::string& text) {
    std::vector<std::string> forms{
        text,
        percent(text, "-_.~", true, false),
        percent(text, "-_.~", false, false),
        percent(text, "-_.!~*'()", true, false),  // encodeURIComponent
        percent(text, "-_.~/", true, false),      // Python
        percent(text, "-_.*", true, true),        // Java
        percent(text, "-_.", true, true),         // PHP
        percent(text, ";,/?:@&=+$-_.!~*'()#", true, false),
        json(text, true, false, false),
        json(text, false, true, false),
        json(text, true, true, true),
        html(text, 0),
        html(text, 1),
        html(text, 2),
        quoted(text, R"('\'')"),
        quoted(text, R"('"'"')"),
        quoted(text, "''"),
        replaced(text, R"( !"#$&'()*,;<>?[\]^`{|}~)", "\\"),
        replaced(text, R"("$`\)", "\\"),
        coloured(text),
    };
    for (const char* between : {"", " ", ":", ", ", "-"}) {
      forms.push_back(spaced_hex(text, between, below(2) == 0));
    }
    forms.push_back("\\x" + spaced_hex(text, "\\x", true));
    return forms;
  }

  std::string secret() {
    constexpr std::string_view k_marks = "!@#$%^&*()-_=+[]{};:'\",.<>/?\\|`~ ";
    std::string secret;
    for (std::size_t left = 12 + below(30); left > 0; --left) {
      switch (below(6)) {
        case 0:
          secret += k_marks[below(k_marks.size())];
          break;
        case 1:
          secret += "\xC3\xA9";
          break;
        default:
          secret += "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[below(62)];
      }
    }
    return secret + "Z";
  }

 private:
  std::mt19937_64 random_;
};

std::string streamed(const std::shared_ptr<const Redactor>& redactor, const std::string& text,
                     Writer& writer, std::size_t longest) {
  RedactingStream stream(redactor);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = 1 + writer.below(longest);
    out += stream.feed(text.substr(at, size));
    at += size;
  }
  return out + stream.finish();
}

TEST(Redactor, TheFormsOfOneDifficultSecret) {
  const std::string secret = "p@ss!w(o)rd*'~x/Y<&>\xC3\xA9 \\\"%41&lt;z";
  const auto subject = redactor({secret});
  for (const std::string& form : Writer(1).forms(secret)) {
    EXPECT_EQ(subject->redact("<" + form + ">"), "<[REDACTED]>") << form;
  }
}

TEST(Redactor, NoFormOfARandomSecretIsLeftHoweverTheTextIsCut) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    Writer writer(seed);
    const std::string secret = writer.secret();
    const auto subject = redactor({secret, writer.secret()});
    for (const std::string& form : writer.forms(secret)) {
      const std::string text = "key: " + form + " .\n";
      const std::string shown = subject->redact(text);
      ASSERT_EQ(shown, "key: [REDACTED] .\n") << "seed " << seed << ": " << form;
      ASSERT_EQ(streamed(subject, text, writer, 1), shown) << "seed " << seed << ": " << form;
      ASSERT_EQ(streamed(subject, text, writer, 9), shown) << "seed " << seed << ": " << form;
    }
  }
}

TEST(Redactor, AnEscapeAtTheEndOfASecretDoesNotHideIt) {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    for (const char* tail : {"\\", "\\\\", "%", "&", "'", "&lt", "'\\"}) {
      Writer writer(seed);
      const std::string secret = writer.secret() + tail;
      const auto subject = redactor({secret});
      for (const std::string& form : writer.forms(secret)) {
        for (const char* behind : {"\"", "41", "\\\"", "lt;", "n"}) {
          const std::string text = "key: \"" + form + behind + " .\n";
          const std::string shown = subject->redact(text);
          EXPECT_TRUE(shown.starts_with("key: \"[REDACTED]")) << text << shown;
          EXPECT_EQ(streamed(subject, text, writer, 5), shown);
        }
      }
    }
  }
}

TEST(Redactor, FindsHexInListsOfNumbers) {
  const std::string secret = "correct\nhorse*battery staple 000";
  const auto subject = redactor({secret});
  Writer writer(3);
  for (const char* row_end : {", ", ",\n  ", ",\n      ", " \n"}) {
    for (const char* mark : {"0x", "0X"}) {
      for (const bool upper : {false, true}) {
        std::string list = "{ ";
        for (std::size_t i = 0; i < secret.size(); ++i) {
          list += (i == 0        ? ""
                   : i % 12 == 0 ? row_end
                                 : ", ") +
                  std::string(mark) + hex(secret.substr(i, 1), upper);
        }
        const std::string shown = subject->redact(list + " };\n");
        EXPECT_FALSE(shown.contains(hex(secret.substr(20, 1), upper))) << shown;
        EXPECT_TRUE(shown.starts_with("{ 0") && shown.ends_with("[REDACTED] };\n")) << shown;
        EXPECT_EQ(streamed(subject, list + " };\n", writer, 4), shown);
      }
    }
  }
  EXPECT_EQ(redactor({"xyzzy0"})->redact("0x00, 0x780x79, 0x7A0x7a0x79 0x30"),
            "0x00, 0x[REDACTED]");
}

TEST(Redactor, NothingOfWrappedBase64IsLeft) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    Writer writer(seed);
    std::string secret;
    while (secret.size() < 150) {
      secret += writer.secret();
    }
    const auto subject = redactor({secret});
    for (const std::size_t width : {0U, 64U, 76U}) {
      for (const std::size_t phase : {0U, 1U, 2U}) {
        const std::string text = writer.base64(secret, phase, writer.below(2) == 0, width) + "\n";
        const std::string shown = subject->redact(text);
        // The edges hold bits of what stands beside the secret.
        std::string left = shown;
        for (std::size_t at; (at = left.find("[REDACTED]")) != std::string::npos;) {
          left.erase(at, 10);
        }
        std::erase_if(left, [](char c) { return c == '\n' || c == '='; });
        ASSERT_LE(left.size(), 6U) << "seed " << seed << ": " << shown;
        ASSERT_EQ(streamed(subject, text, writer, 20), shown) << "seed " << seed;
      }
    }
  }
}

TEST(Redactor, EveryLineOfAValueIsFoundWithEitherLineEnd) {
  const auto subject = redactor({"line-1a\r\nab-cd9\r\nthe third line\r\n"});
  EXPECT_EQ(subject->redact("line-1a\nab-cd9\r\nthe third line\r\n"),
            "[REDACTED]\n[REDACTED]\r\n[REDACTED]\r\n");
  EXPECT_EQ(redactor({"ab\ncd\nef"})->redact(R"({"key":"ab\ncd\r\nef"})"),
            R"({"key":"[REDACTED]"})");
}

TEST(Redactor, KnowsWhereThePasswordOfAUrlEnds) {
  const auto subject = redactor({});
  for (const auto& [text, shown] : std::vector<std::pair<std::string, std::string>>{
           {"https://token@host/x", "https://[REDACTED]@host/x"},
           {"ssh://git@host/x", "ssh://git@host/x"},
           {"postgres://u:pa/ss@host/db?x=y@z", "postgres://[REDACTED]@host/db?x=y@z"},
           {"redis://:pass@host", "redis://[REDACTED]@host"},
           {R"("https:\/\/u:p@host\/x")", R"("https:\/\/[REDACTED]@host\/x")"},
           {"http://[::1]:80/x@y", "http://[::1]:80/x@y"},
           {"https://h/@scope/name https://h:80/a@1", "https://h/@scope/name https://h:80/a@1"},
           {R"({"Authorization":"Bearer abcdefgh"})", R"({"Authorization":"Bearer [REDACTED]"})"},
           {"AUTHORIZATION=token abcdefgh", "AUTHORIZATION=token [REDACTED]"}}) {
    EXPECT_EQ(subject->redact(text), shown);
  }
}

TEST(RedactingStream, RandomTextComesOutTheSameForEveryCut) {
  fakes::RandomText pieces(31, {"\\",
                                "%",
                                "&",
                                "'",
                                "\"",
                                "u00e9",
                                "%41",
                                "\\x41",
                                "&lt;",
                                "&#x",
                                ";",
                                "\x1B[",
                                "1m",
                                "\n",
                                "\r",
                                "a",
                                "secret",
                                "-one",
                                "0x73",
                                "65",
                                "63",
                                " ",
                                ":",
                                "73 65 63 72 65 74 2d 6f 6e 65",
                                "c2VjcmV0",
                                "LW9uZQ",
                                "://",
                                "http",
                                "u:p@",
                                "/",
                                "ghp_",
                                "01234567890123456789",
                                "Authorization: ",
                                "Basic ",
                                "=",
                                "secre",
                                "7365637265742d6f6e65",
                                "x",
                                "0"});
  const auto subject = redactor({"secret-one", "e\xC3\xA9\\'<A", "aa%41\n\"secret"});
  Writer writer(5);
  for (int round = 0; round < 4'000; ++round) {
    const std::string text = pieces.make(14);
    const std::string whole = subject->redact(text);
    for (const std::size_t longest : {1U, 3U, 17U}) {
      ASSERT_EQ(streamed(subject, text, writer, longest), whole)
          << "round " << round << ": " << testing::PrintToString(text);
    }
  }
}

TEST(Redactor, ManyLongSecretsOfOneLetterCostNoMoreThanOthers) {
  std::vector<std::string> secrets;
  for (int i = 0; i < 300; ++i) {
    secrets.push_back(std::string(3'000, 'a') + std::to_string(i));
  }
  const auto subject = redactor(secrets);
  EXPECT_EQ(subject->beyond().size(), 300 - Redactor::k_most_bytes / 3'003);
  const std::string log(4'000'000, 'a');
  EXPECT_EQ(subject->redact(log), log);
}

TEST(Needles, SkippingEndsInTheStateThatStepsLeadTo) {
  fakes::RandomText letters(17, {"a", "b", "c", "ab", "://", "abcabc", "x", "\x80"});
  for (int round = 0; round < 2'000; ++round) {
    std::vector<Needles::Needle> strings{{"://", Needles::k_url}};
    for (std::size_t left = letters.below(4); left > 0; --left) {
      strings.push_back({letters.make(5) + "ab", Needles::k_secret});
    }
    const Needles needles(strings);
    const std::string text = letters.make(12);
    Needles::State state = Needles::k_start;
    for (std::size_t at = 0; at < text.size();) {
      if (needles.is_shallow(state)) {
        const auto skipped = needles.skip(state, std::string_view(text).substr(at));
        for (std::size_t i = 0; i < skipped.bytes; ++i) {
          state = needles.step(state, text[at + i]);
          ASSERT_FALSE(needles.ends(state)) << testing::PrintToString(text) << at + i;
        }
        ASSERT_EQ(skipped.state, state) << testing::PrintToString(text) << at;
        at += skipped.bytes;
        if (at == text.size()) {
          break;
        }
        ASSERT_FALSE(needles.is_shallow(needles.step(state, text[at])));
      }
      state = needles.step(state, text[at]);
      ++at;
    }
  }
}

TEST(SecretStore, KnowsASecretAsLongAsItsRegistrationLives) {
  SecretStore store;
  store.add_forever({{"forever", Secret("forever-secret")}});
  {
    const auto registration = store.add_deployment({{"job", Secret("job-secret")}});
    EXPECT_EQ(store.redact("job-secret forever-secret"), "[REDACTED] [REDACTED]");
  }
  EXPECT_EQ(store.redact("job-secret forever-secret"), "job-secret [REDACTED]");
}

TEST(SecretStore, ADeploymentsLogShowsNothingOfAnothersSecrets) {
  SecretStore store;
  const std::string key = "k7Qz93LmPx0VbT5wRd81";
  EXPECT_EQ(store.add_forever({{"API_KEY", Secret(key)}, {"REDIS_PASSWORD", Secret("summer2024")}}),
            std::vector<std::string>());
  const auto one = store.add_deployment({{"s", Secret("winter2023")}});
  const auto other = store.add_deployment({{"s", Secret("exit code")}});
  const std::string log = "guess summer2024 winter2023 " + key + " failed with exit code 3";
  EXPECT_EQ(one.redactor()->redact(log),
            "guess summer2024 [REDACTED] [REDACTED] failed with exit code 3");
  EXPECT_EQ(other.redactor()->redact(log),
            "guess summer2024 winter2023 [REDACTED] failed with [REDACTED] 3");
  EXPECT_EQ(store.redact(log), "guess [REDACTED] [REDACTED] [REDACTED] failed with [REDACTED] 3");
}

TEST(SecretStore, ASecretTheWorkerGetsMeanwhileIsTakenOutOfRunningDeployments) {
  SecretStore store;
  const auto deployment = store.add_deployment({});
  const std::string token = "eyJwYXlsb2FkIjoiT2xk9Zk3Q1x7";
  {
    const auto registration = store.add({{"registry token", Secret(token)}});
    EXPECT_EQ(deployment.redactor()->redact(token), "[REDACTED]");
  }
  EXPECT_EQ(deployment.redactor()->redact(token), token);
}

TEST(SecretStore, WordsCanBeGuessedAndRandomOnesCannot) {
  for (const char* value : {"summer2024-summer2024", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                            "production-database", "1234567890123456", "deployra-redis-password"}) {
    EXPECT_FALSE(is_unguessable(value)) << value;
  }
  for (const char* value : {"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                            "9f86d081884c7d659a2feaa0c55ad015", "k7Qz93LmPx0VbT5wRd81"}) {
    EXPECT_TRUE(is_unguessable(value)) << value;
  }
}

TEST(Redactor, TakesOutTheBeginningOfASecretThatWasCut) {
  const Redactor redactor({{"password", Secret("correct-horse-battery")}});
  EXPECT_EQ(redactor.redact_shortened("it said correct-hor… and correct… and corre…"),
            "it said [REDACTED]… and [REDACTED]… and corre…");
  EXPECT_EQ(redactor.redact_shortened("no correct horse … here"), "no correct horse … here");
}

}  // namespace
}  // namespace builder
