#include "adapters/git/attributes.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

namespace builder::adapters::git {

namespace {

/// Of the files that are read here; git reads any, in a checkout.
constexpr std::size_t k_most_files = 1'000;
constexpr std::uint64_t k_largest_file = 1U << 20U;
constexpr std::uint64_t k_most_bytes = 16U << 20U;
/// Attributes that make a checkout differ from what git stores.
constexpr auto k_converting =
    std::to_array<std::string_view>({"eol=crlf", "ident", "working-tree-encoding", "filter="});

}  // namespace

void Attributes::add(std::string_view content) {
  lfs = lfs || content.contains("filter=lfs");
  converts = converts ||
             std::ranges::any_of(k_converting, [&](auto word) { return content.contains(word); });
}

Result<Attributes> read_attributes(const ports::JobContext& job, ObjectReader& objects,
                                   const TreeNode& root) {
  std::map<std::string, std::uint64_t> files;  // Object -> size.
  std::string all;
  for_each_file(root, "", [&](const std::string&, const TreeNode& node) {
    if (node.name == ".gitattributes" && node.is_file()) {
      const std::string object = node.object.hex();
      files[object] = node.size;
      all += object + '\0';
    }
  });
  Attributes attributes;
  if (files.empty()) {
    return attributes;
  }
  attributes.digest = sha256_hex(all);
  std::vector<std::string> read;
  std::uint64_t bytes = 0;
  for (const auto& [object, size] : files) {
    bytes += size;
    if (size > k_largest_file || bytes > k_most_bytes || read.size() == k_most_files) {
      attributes.converts = attributes.lfs = true;  // They may say anything.
      break;
    }
    read.push_back(object);
  }
  BUILDER_TRY_ASSIGN(const auto contents, objects.contents(job, read, "blob"));
  for (const std::string& content : contents) {
    attributes.add(content);
  }
  return attributes;
}

}  // namespace builder::adapters::git
