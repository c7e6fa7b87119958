#include "adapters/image_search/unpacker.hpp"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::image_search {

namespace {

/// Fits a core's cache.
constexpr std::size_t k_piece = std::size_t{64} * 1024;
/// Of zstd, as a power of two: what BuildKit's best level writes.
constexpr int k_window = 25;

std::unexpected<Error> damaged(const char* why) {
  return failure(ErrorKind::invalid_input, std::string("the layer is damaged: ") + why);
}

std::unexpected<Error> ended() {
  return failure(ErrorKind::cancelled, "not wanted any more");
}

class Plain final : public Unpacker {
 public:
  explicit Plain(Take take) : take_(std::move(take)) {}

  Result<> feed(std::string_view packed) override { return take_(packed) ? Result<>() : ended(); }

  Result<> finish() override { return {}; }

 private:
  const Take take_;
};

class Gzip final : public Unpacker {
 public:
  explicit Gzip(Take take) : take_(std::move(take)), state_(std::make_unique<inflate_state>()) {}

  Result<> feed(std::string_view packed) override {
    // The library only reads it.
    std::string_view rest = packed;
    while (!rest.empty() || has_more_) {
      if (is_between_) {
        // Some tools fill up with zeros behind the last stream.
        rest.remove_prefix(began_ ? std::min(rest.find_first_not_of('\0'), rest.size()) : 0);
        if (rest.empty()) {
          return {};
        }
        isal_inflate_init(state_.get());
        state_->crc_flag = ISAL_GZIP;
        is_between_ = false;
        began_ = true;
      }
      const std::size_t given = std::min(rest.size(), k_piece);
      in_.assign(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(given));
      state_->next_in = in_.data();
      state_->avail_in = static_cast<std::uint32_t>(given);
      state_->next_out = out_.data();
      state_->avail_out = static_cast<std::uint32_t>(out_.size());
      const int result = isal_inflate(state_.get());
      if (state_->avail_in > given) {
        return damaged("its gzip stream ends before it begins");
      }
      const std::size_t made = out_.size() - state_->avail_out;
      const std::size_t used = given - state_->avail_in;
      rest.remove_prefix(used);
      if (result != ISAL_DECOMP_OK && result != ISAL_END_INPUT) {
        return damaged("its gzip stream breaks off");
      }
      if (made > 0 && !take_({reinterpret_cast<const char*>(out_.data()), made})) {
        return ended();
      }
      is_between_ = state_->block_state == ISAL_BLOCK_FINISH;
      has_more_ = !is_between_ && state_->avail_out == 0;
      if (made == 0 && used == 0 && !is_between_) {
        if (!rest.empty()) {
          return damaged("its gzip stream stands still");
        }
        has_more_ = false;
      }
    }
    return {};
  }

  Result<> finish() override { return is_between_ ? Result<>() : damaged("it is cut short"); }

 private:
  const Take take_;
  const std::unique_ptr<inflate_state> state_;
  std::vector<std::uint8_t> in_;
  std::vector<std::uint8_t> out_ = std::vector<std::uint8_t>(k_piece);
  bool is_between_ = true;  ///< Two streams.
  bool began_ = false;
  bool has_more_ = false;  ///< The library may have more to give without more to read.
};

class Zstd final : public Unpacker {
 public:
  explicit Zstd(Take take) : take_(std::move(take)), stream_(ZSTD_createDStream()) {
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, k_window);
  }

  Result<> feed(std::string_view packed) override {
    ZSTD_inBuffer in{.src = packed.data(), .size = packed.size(), .pos = 0};
    ZSTD_outBuffer out{};
    do {
      out = {.dst = out_.data(), .size = out_.size(), .pos = 0};
      const std::size_t result = ZSTD_decompressStream(stream_.get(), &out, &in);
      if (ZSTD_isError(result) != 0) {
        return damaged(ZSTD_getErrorName(result));
      }
      is_between_ = result == 0;
      if (out.pos > 0 && !take_({out_.data(), out.pos})) {
        return ended();
      }
      // Behind the end of a frame the library would begin the next one.
    } while (in.pos < in.size || (out.pos == out.size && !is_between_));
    return {};
  }

  Result<> finish() override { return is_between_ ? Result<>() : damaged("it is cut short"); }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };

  const Take take_;
  const std::unique_ptr<ZSTD_DStream, Free> stream_;
  std::vector<char> out_ = std::vector<char>(k_piece);
  bool is_between_ = true;
};

/// Waits for the bytes that tell.
class ByFirstBytes final : public Unpacker {
 public:
  explicit ByFirstBytes(Take take) : take_(std::move(take)) {}

  Result<> feed(std::string_view packed) override {
    if (unpacker_ != nullptr) {
      return unpacker_->feed(packed);
    }
    front_ += packed;
    return front_.size() < k_magic ? Result<>() : choose();
  }

  Result<> finish() override {
    if (unpacker_ == nullptr) {
      BUILDER_TRY(choose());
    }
    return unpacker_->finish();
  }

 private:
  static constexpr std::size_t k_magic = 4;

  Result<> choose() {
    if (front_.starts_with("\x1F\x8B")) {
      unpacker_ = std::make_unique<Gzip>(std::move(take_));
    } else if (front_.starts_with("\x28\xB5\x2F\xFD") ||
               // A frame to skip, which may stand first.
               (front_.size() >= k_magic &&
                (static_cast<unsigned char>(front_[0]) & 0xF0U) == 0x50 &&
                front_.substr(1, 3) == "\x2A\x4D\x18")) {
      unpacker_ = std::make_unique<Zstd>(std::move(take_));
    } else {
      unpacker_ = std::make_unique<Plain>(std::move(take_));
    }
    const std::string front = std::exchange(front_, {});
    return front.empty() ? Result<>() : unpacker_->feed(front);
  }

  Take take_;
  std::string front_;
  std::unique_ptr<Unpacker> unpacker_;
};

}  // namespace

std::unique_ptr<Unpacker> make_unpacker(Unpacker::Take take) {
  return std::make_unique<ByFirstBytes>(std::move(take));
}

}  // namespace builder::adapters::image_search
