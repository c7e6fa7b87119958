#include "adapters/buildkit/base_images.hpp"

#include "adapters/buildkit/dockerfile.hpp"

#include <string>

namespace builder::adapters::buildkit {

bool uses_no_foreign_service(std::string_view dockerfile, const ports::Repository& repository) {
  const Dockerfile parsed(dockerfile);
  if (parsed.frontend()) {
    return false;
  }
  const std::string folder = repository.uri.substr(0, repository.uri.rfind('/') + 1);
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
