#pragma once

#include "domain/deployment_request.hpp"

#include <span>
#include <string>
#include <vector>

namespace builder::domain {

struct DotenvFile {
  std::string content;
  std::size_t written = 0;            ///< Variables in `content`.
  std::vector<std::string> warnings;  ///< Lines for the customer; they name keys, never values.
};

/// Writes variables so that the common readers (dotenv of Node and Ruby, python-dotenv, godotenv,
/// phpdotenv, Symfony's Dotenv) read back exactly the values sent. Each value gets the simplest
/// form on which all of them agree: bare, in single quotes, or in double quotes. Where no form
/// suits all, the most suitable one is taken and the warning names the readers that differ. A value
/// can never add a variable, nor make a reader refuse the file: where every form would, it is left
/// out with a warning.
///
/// Of equal keys the last one counts, at the place of the first. Keys no reader accepts, and values
/// with a NUL character, are left out with a warning.
DotenvFile write_dotenv(std::span<const EnvironmentVariable> variables);

}  // namespace builder::domain
