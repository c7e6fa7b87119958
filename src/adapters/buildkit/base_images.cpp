#include "adapters/buildkit/base_images.hpp"

#include "adapters/buildkit/dockerfile.hpp"
#include "adapters/buildkit/engine_info.hpp"

#include <sstream>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

/// The images an instruction names; a name of a stage among them does no harm.
std::vector<std::string> named_images(const Instruction& instruction) {
  std::vector<std::string> images;
  std::istringstream words(instruction.text);
  std::string word;
  words >> word;
  if (instruction.keyword == "FROM") {
    while (words >> word && word.starts_with("--")) {
    }
    images.push_back(word);
    return images;
  }
  // COPY --from=x; RUN --mount=type=bind,from=x,…: flags stand first.
  while (words >> word && word.starts_with("--")) {
    std::istringstream options(word.substr(2));
    for (std::string option; std::getline(options, option, ',');) {
      if (const auto at = option.find("from="); at != std::string::npos) {
        images.push_back(option.substr(at + 5));
      }
    }
  }
  return images;
}

}  // namespace

bool uses_no_foreign_service(std::string_view dockerfile, const ports::Repository& repository) {
  if (names_frontend(dockerfile)) {
    return false;
  }
  const std::string folder = repository.uri.substr(0, repository.uri.rfind('/') + 1);
  const Dockerfile parsed(dockerfile);
  for (const Instruction& instruction : parsed.instructions()) {
    for (const std::string& image : named_images(instruction)) {
      const bool own = image == repository.uri || image.starts_with(repository.uri + ":") ||
                       image.starts_with(repository.uri + "@");
      if (image.find_first_of("$\\\"'`") != std::string::npos ||
          (image.starts_with(folder) && !own)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace builder::adapters::buildkit
