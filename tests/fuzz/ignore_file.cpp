// Any .dockerignore is read, and answers for any path.
#include "domain/dockerignore.hpp"

#include "fuzz/target.hpp"

BUILDER_FUZZ(ignore_file) {
  const std::size_t border = input.find('\0');
  builder::domain::IgnoreFile file(input.substr(0, border));
  if (border != std::string_view::npos) {
    static_cast<void>(file.hides(input.substr(border + 1, 200)));
  }
}
