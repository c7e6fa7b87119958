// How fast the layers of an image are searched for secrets, on one core: the search alone, and with
// the unpacking before it, beside a plain search for the same values one after the other (which
// knows none of their forms). Its arguments are layers as `tar` makes them.
#include "adapters/image_search/tar_names.hpp"
#include "adapters/image_search/unpacker.hpp"
#include "domain/image_secrets.hpp"

#include "cpu_time.hpp"
#include "unit/image_search/packed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace builder;
using adapters::image_search::gzipped;
using adapters::image_search::zstd_packed;
using bench::megabytes_a_second;
using bench::seconds;

constexpr std::size_t k_bytes = std::size_t{256} << 20U;
constexpr std::size_t k_piece = std::size_t{64} << 10U;

std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  text.resize(std::min(text.size(), k_bytes));
  return text;
}

double through(const domain::SoughtSecrets& sought, const std::string& packed, std::size_t bytes) {
  std::size_t hits = 0;
  domain::SecretScanner scanner(sought);
  using adapters::image_search::TarNames;
  TarNames names([&](std::string_view piece, std::string_view, TarNames::Part) {
    scanner.feed(piece, [&](std::size_t, std::size_t) { ++hits; });
  });
  const auto unpacker = adapters::image_search::make_unpacker([&](std::string_view piece) {
    names.feed(piece);
    return true;
  });
  const double speed = megabytes_a_second(bytes, [&] {
    for (std::size_t at = 0; at < packed.size(); at += k_piece) {
      static_cast<void>(unpacker->feed(std::string_view(packed).substr(at, k_piece)));
    }
  });
  return hits > 0 ? 0 : speed;
}

}  // namespace

int main(int count, char** paths) {
  if (count < 2) {
    fmt::print("usage: bench_image_search LAYER.tar …\n");
    return 2;
  }
  std::mt19937_64 random(1);
  constexpr std::string_view k_letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int i = 1; i < count; ++i) {
    const std::string layer = read_file(paths[i]);
    const std::string gzip = gzipped(layer);
    const std::string zstd = zstd_packed(layer);
    fmt::print("{}: {} MB, gzip {} MB\n", paths[i], layer.size() / 1'000'000,
               gzip.size() / 1'000'000);
    for (const std::size_t secrets : {1U, 12U, 50U, 200U}) {
      std::vector<NamedSecret> values;
      for (std::size_t n = 0; n < secrets; ++n) {
        std::string value;
        for (std::size_t size = 20 + random() % 40; value.size() < size;) {
          value += k_letters[random() % k_letters.size()];
        }
        values.push_back({"variable " + std::to_string(n), Secret(value)});
      }
      std::optional<domain::SoughtSecrets> sought;
      const double made = seconds([&] { sought.emplace(values); });
      std::size_t hits = 0;
      const double plain = megabytes_a_second(layer.size(), [&] {
        for (const NamedSecret& value : values) {
          hits += layer.contains(value.value.reveal()) ? 1U : 0U;
        }
      });
      fmt::print(
          "  {:3} secrets, made in {:5.1f} ms: tar {:5.0f} MB/s, gzip {:4.0f} MB/s, zstd {:4.0f} "
          "MB/s; a plain "
          "search {:5.0f} MB/s{}\n",
          secrets, 1'000 * made, through(*sought, layer, layer.size()),
          through(*sought, gzip, layer.size()), through(*sought, zstd, layer.size()), plain,
          hits > 0 ? " (found?)" : "");
    }
  }
  return 0;
}
