// How fast secrets are taken out of the log of a build, beside a plain search for the same values
// one after the other (which knows none of their forms), and what the worst of both costs.
#include "base/redactor.hpp"

#include "cpu_time.hpp"

#include <fmt/format.h>

#include <optional>
#include <random>
#include <string>

namespace {

using namespace builder;
using bench::megabytes_a_second;
using bench::seconds;

constexpr std::size_t k_log_bytes = std::size_t{64} << 20U;

std::string random_value(std::mt19937_64& random, std::size_t length) {
  constexpr std::string_view k_letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string value;
  while (value.size() < length) {
    value += k_letters[random() % k_letters.size()];
  }
  return value;
}

/// As npm, compilers and BuildKit write it.
std::string build_log() {
  std::string log;
  for (unsigned i = 0; log.size() < k_log_bytes; ++i) {
    log += fmt::format(
        "#12 {}.{:03} npm http fetch GET 200 https://registry.npmjs.org/package-{} {}ms\n"
        "[{:3}%] Building CXX object src/CMakeFiles/app.dir/module_{}/handler.cpp.o\n"
        "  warning: unused variable 'result' in function \"handle_request_{}\" [-Wunused]\n"
        "#13 sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a{:02x} {}kB "
        "done\n"
        "added {} packages, and audited {} packages in {}s\n",
        i % 90, i % 1000, i, i % 400, i % 100, i, i, i % 256, i % 5000, i % 300, i, i % 60);
  }
  return log;
}

double rows_through(const Redactor& redactor, const std::string& log) {
  std::size_t shown = 0;
  const double speed = megabytes_a_second(log.size(), [&] {
    RedactingStream stream(std::shared_ptr<const Redactor>(std::shared_ptr<void>(), &redactor));
    for (std::size_t at = 0; at < log.size(); at += 32 * 1024) {
      shown += stream.feed(std::string_view(log).substr(at, 32 * 1024)).size();
    }
    shown += stream.finish().size();
  });
  return shown == 0 ? 0 : speed;
}

/// What a log may be made of to cost most; the secrets begin as it does.
void measure_hostile_texts(std::mt19937_64& random) {
  constexpr std::size_t k_bytes = std::size_t{8} << 20U;
  const auto text_of = [&](const std::vector<std::string_view>& parts) {
    std::string text;
    while (text.size() < k_bytes) {
      text += parts[random() % parts.size()];
    }
    return text;
  };
  std::vector<NamedSecret> alike;
  std::vector<NamedSecret> bits;
  for (int i = 0; i < 300; ++i) {
    alike.push_back({"s", Secret(std::string(3'000, 'a') + std::to_string(i))});
    std::string value;
    while (value.size() < 200) {
      value += "ab"[random() % 2];
    }
    bits.push_back({"s", Secret(value)});
  }
  const Redactor one_letter(alike);
  fmt::print("300 secrets of 3,000 letters a, and a log of them: {:4.0f} MB/s\n",
             rows_through(one_letter, text_of({"a"})));
  const Redactor two_letters(bits);
  for (const auto& [name, parts] :
       std::vector<std::pair<const char*, std::vector<std::string_view>>>{
           {"their letters", {"a", "b"}},
           {"hex with marks between", {"61", "62", "0x61", ", ", " ", ":"}},
           {"addresses", {"https://u:p@h ", "a://", "http://host:80/"}},
           {"escapes", {"%61", "\\u0061", "&lt;", "'\\''", "\x1B[1m", "a"}},
           {"empty rows", {"\n"}}}) {
    fmt::print("300 secrets of 200 letters a and b, and {}: {:4.0f} MB/s\n", name,
               rows_through(two_letters, text_of(parts)));
  }
}

}  // namespace

int main() {
  std::mt19937_64 random(1);
  const std::string log = build_log();
  for (const std::size_t count : {1U, 50U, 200U}) {
    std::vector<NamedSecret> secrets;
    for (std::size_t i = 0; i < count; ++i) {
      secrets.push_back({"s", Secret(random_value(random, 20 + random() % 40))});
    }
    std::optional<Redactor> redactor;
    const double made = seconds([&] { redactor.emplace(secrets); });
    std::size_t hits = 0;
    const double plain = megabytes_a_second(log.size(), [&] {
      for (const NamedSecret& secret : secrets) {
        hits += log.contains(secret.value.reveal()) ? 1U : 0U;
      }
    });
    const double speed = rows_through(*redactor, log);
    fmt::print("{:3} secrets: {:4.0f} MB/s, {:.1f} times a plain search; made in {:.1f} ms\n",
               count, speed, speed / plain, 1'000 * made);
    if (hits > 0) {
      return 1;
    }
  }
  measure_hostile_texts(random);
  return 0;
}
