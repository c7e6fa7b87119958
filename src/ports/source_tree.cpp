#include "ports/source_tree.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace builder::ports {

namespace {

class MemoryReader final : public FileReader {
 public:
  explicit MemoryReader(std::string content) : content_(std::move(content)) {}

  Result<std::size_t> read(std::span<std::byte> buffer) override {
    const std::size_t count = std::min(buffer.size(), content_.size() - used_);
    std::memcpy(buffer.data(), content_.data() + used_, count);
    used_ += count;
    return count;
  }

 private:
  std::string content_;
  std::size_t used_ = 0;
};

}  // namespace

ContentId content_id(std::string_view content) {
  const auto digest = sha256(content);
  ContentId id{};
  std::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

std::int64_t content_time(const ContentId& content) {
  constexpr std::int64_t k_second = 1'000'000'000;
  std::uint64_t identity = 0;
  std::memcpy(&identity, content.data(), sizeof identity);
  return 1'700'000'000 * k_second + static_cast<std::int64_t>(identity % k_second);
}

std::unique_ptr<FileReader> make_memory_reader(std::string content) {
  return std::make_unique<MemoryReader>(std::move(content));
}

Result<std::string> read_file(const SourceTree& tree, std::string_view path, std::size_t limit) {
  BUILDER_TRY_ASSIGN(const std::unique_ptr<FileReader> reader, tree.open(path));
  std::string content;
  std::array<std::byte, 16 * 1024> buffer{};
  for (;;) {
    BUILDER_TRY_ASSIGN(const std::size_t count, reader->read(buffer));
    if (count == 0) {
      return content;
    }
    if (content.size() + count > limit) {
      return failure(ErrorKind::invalid_input,
                     std::string(path) + " is larger than " + std::to_string(limit) + " bytes");
    }
    content.append(reinterpret_cast<const char*>(buffer.data()), count);
  }
}

}  // namespace builder::ports
