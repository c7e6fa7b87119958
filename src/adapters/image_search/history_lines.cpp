#include "adapters/image_search/history_lines.hpp"

#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "base/ascii.hpp"

#include <algorithm>

namespace builder::adapters::image_search {

namespace {

using buildkit::Dockerfile;
using buildkit::Instruction;

std::string keyword_of(std::string_view created_by) {
  return upper_case(created_by.substr(0, std::min(created_by.find(' '), created_by.size())));
}

/// What makes an entry, in the order of the file, of the last stage and those below it.
std::vector<const Instruction*> chain_of(const Dockerfile& dockerfile) {
  const std::vector<Instruction>& all = dockerfile.instructions();
  std::vector<const Instruction*> chain;
  std::size_t end = all.size();
  for (;;) {
    std::size_t from = end;
    while (from > 0 && all[from - 1].keyword != "FROM") {
      const Instruction& instruction = all[--from];
      if (instruction.keyword != "ONBUILD") {
        chain.push_back(&instruction);
      }
    }
    if (from == 0) {
      break;  // What stands before the first FROM makes none.
    }
    const std::vector<std::string> bases = buildkit::named_images(all[from - 1]);
    const std::string base = bases.empty() ? std::string() : lower_case(bases.front());
    end = from - 1;
    while (end > 0 && all[end - 1].stage != base) {
      --end;
    }
    if (end == 0 || base.empty()) {
      break;
    }
  }
  std::ranges::reverse(chain);
  return chain;
}

}  // namespace

std::vector<std::size_t> lines_of_history(std::string_view dockerfile,
                                          const std::vector<std::string>& created_by) {
  std::vector<std::size_t> lines(created_by.size(), 0);
  if (dockerfile.empty() || dockerfile.size() > buildkit::k_dockerfile_limit) {
    return lines;
  }
  const Dockerfile parsed(dockerfile);
  const std::vector<const Instruction*> chain = chain_of(parsed);
  auto instruction = chain.rbegin();
  for (std::size_t i = created_by.size(); i > 0 && instruction != chain.rend(); --i) {
    if ((*instruction)->keyword != keyword_of(created_by[i - 1])) {
      break;
    }
    lines[i - 1] = (*instruction)->lines.first;
    ++instruction;
  }
  return lines;
}

}  // namespace builder::adapters::image_search
