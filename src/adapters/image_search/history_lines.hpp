#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::image_search {

/// The line of the Dockerfile that made each entry of an image's history (its `created_by`s, oldest
/// first); 0: another file's, or not known. The instructions of the last stage, and of those it is
/// made of, are the last entries: they are compared from the end, as far as their keywords agree.
std::vector<std::size_t> lines_of_history(std::string_view dockerfile,
                                          const std::vector<std::string>& created_by);

}  // namespace builder::adapters::image_search
