// A project.toml is read or refused with a short line, however deep it is nested.
#include "domain/buildpacks/project_toml.hpp"

#include "fuzz/target.hpp"

BUILDER_FUZZ(project_toml) {
  using namespace builder;
  const auto read = domain::buildpacks::read_project_toml(input);
  fuzz::expect(read || (!read.error().customer.empty() && read.error().customer.size() <= 191),
               "no short line for the customer");
}
