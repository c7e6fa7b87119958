#include "ports/source_tree.hpp"

#include <array>

namespace builder::ports {

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
