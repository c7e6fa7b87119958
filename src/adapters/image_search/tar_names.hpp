#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace builder::adapters::image_search {

/// Tells which file of a tar stream its bytes belong to. Passes on every byte in order, whatever
/// the stream is: what is no tar, or stops being one, belongs to no file. Reads ustar, the long
/// names of GNU and pax; keeps a name at most. Not thread-safe.
class TarNames {
 public:
  enum class Part {
    header,   ///< Of the next file, folder or link. Its content, if it has one, follows.
    content,  ///< Of a file.
    other,    ///< What fills up a block, names, and what is no tar.
  };

  /// Gets the next bytes, and whose they are: a path as the stream has it, or nothing.
  using Sink = std::function<void(std::string_view bytes, std::string_view path, Part part)>;

  /// Longer ones are not kept; their files have the short name of the header.
  static constexpr std::size_t k_longest_name = 4096;

  explicit TarNames(Sink sink) : sink_(std::move(sink)) {}

  void feed(std::string_view piece);

 private:
  static constexpr std::size_t k_block = 512;

  enum class Content { file, gnu_name, pax };

  void read_header();
  void end_content();
  void read_pax();

  const Sink sink_;
  std::string header_;      ///< What is there of it.
  std::uint64_t left_ = 0;  ///< Of the content and what fills its last block.
  std::uint64_t size_ = 0;  ///< Of the content alone, that is left.
  Content content_ = Content::file;
  std::string path_;       ///< Of the content.
  std::string long_name_;  ///< Of the next header.
  std::string pax_;        ///< Content of a pax header.
  std::uint64_t pax_size_ = 0;
  bool has_pax_size_ = false;
  bool is_lost_ = false;  ///< It is no tar any more.
};

}  // namespace builder::adapters::image_search
