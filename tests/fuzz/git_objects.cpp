// Lists of names out of a repository become names that git would check out, each once and in order,
// or nothing; and no attribute that changes what a checkout writes is passed over.
#include "adapters/git/attributes.hpp"
#include "adapters/git/tree_object.hpp"

#include "fuzz/target.hpp"

#include <algorithm>

BUILDER_FUZZ(git_objects) {
  using namespace builder;
  using namespace builder::adapters::git;
  const std::size_t choice = fuzz::take_byte(input);
  const std::size_t id_bytes = choice % 2 == 0 ? 20 : 32;
  const std::size_t most = choice / 2;
  if (const auto nodes = parse_tree(input, id_bytes, most)) {
    fuzz::expect(nodes->size() <= most, "more entries than are taken");
    fuzz::expect(std::ranges::adjacent_find(*nodes, std::ranges::greater_equal(),
                                            &TreeNode::name) == nodes->end(),
                 "names that are not in order, or repeated");
    for (const TreeNode& node : *nodes) {
      const std::string path = "/" + node.name + "/";
      fuzz::expect(!path.contains("/../") && !path.contains("/./") && !path.contains("//") &&
                       !path.contains("/.git/") && !path.contains('\0'),
                   "a name that leads elsewhere: " + node.name);
      fuzz::expect(ObjectId::of_hex(node.object.hex()) == node.object, "another object");
    }
  } else {
    fuzz::expect(nodes.error().customer.size() <= 191, "the customer's line is too long");
  }
  if (const auto id = ObjectId::of_hex(input)) {
    fuzz::expect(id->bytes().size() == input.size() / 2, "another length");
  }
  Attributes attributes;
  attributes.add(input);
  fuzz::expect(attributes.converts || !attributes.lfs, "large files are no files that change");
}
