// How fast the layers of an image are searched for secrets, on one core: the search alone, and with
// the unpacking before it, beside a plain search for the same values one after the other (which
// knows none of their forms). Its arguments are layers as `tar` makes them.
#include "adapters/image_search/tar_names.hpp"
#include "adapters/image_search/unpacker.hpp"
#include "domain/image_secrets.hpp"

#include <fmt/format.h>

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace builder;

constexpr std::size_t k_bytes = std::size_t{256} << 20U;
constexpr std::size_t k_piece = std::size_t{64} << 10U;

/// Of this core: what else the machine does takes no part.
template <class Work>
double seconds(Work work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

template <class Work>
double megabytes_a_second(std::size_t bytes, Work work) {
  return static_cast<double>(bytes) / 1e6 / seconds(work);
}

std::string gzipped(std::string text) {
  std::string out(compressBound(text.size()) + 64, '\0');
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd_packed(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  text.resize(std::min(text.size(), k_bytes));
  return text;
}

double through(const domain::SoughtSecrets& sought, const std::string& packed, std::size_t bytes) {
  std::size_t hits = 0;
  domain::SecretScanner scanner(sought);
  adapters::image_search::TarNames names([&](std::string_view piece, std::string_view) {
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
