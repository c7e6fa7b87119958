#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain {

/// What becomes of a deployment whose image holds a secret.
enum class SecretInImage { off, warn, refuse };

/// A secret in a layer.
struct FoundFile {
  std::string secret;  ///< Its name for a person: `variable TOKEN`.
  std::string path;    ///< Inside the image, one printable line; empty: between files.

  auto operator<=>(const FoundFile&) const = default;
};

/// What was found in the layers of an image, by their digests.
using FoundInLayers = std::map<std::string, std::vector<FoundFile>>;

struct ImageFinding {
  enum class Place { file, environment, label, history, configuration };

  Place place = Place::configuration;
  std::string secret;
  std::string where;         ///< A path, or the name of a variable or label; printable.
  std::size_t layer = 0;     ///< Counted from 1, the lowest; 0: in no layer.
  std::size_t line = 0;      ///< Of the Dockerfile; 0: not known.
  std::string made_by = {};  ///< What made the layer, as the image's history has it; short.

  bool operator==(const ImageFinding&) const = default;
};

/// Whether the worker itself put the secret there, as ENV_DELIVERY says: it is in a file `.env`.
bool is_env_file(const ImageFinding& finding);

/// "variable TOKEN in /app/config.json, layer 3 of 5 (line 7 of the Dockerfile: COPY . .)"
std::string finding_text(const ImageFinding& finding, std::size_t layers);

/// One line for each secret, with the first place, and one for those behind the twentieth.
std::vector<std::string> warning_lines(const std::vector<ImageFinding>& findings,
                                       std::size_t layers);

/// Of those in `.env`, all together.
std::string env_file_text(const std::vector<ImageFinding>& findings);

/// What a service's deployments remember of its layers: those that were searched for what is
/// sought today. Text; holds names of secrets and paths, no secret.
struct LayerNote {
  std::string sought;  ///< Which values they were searched for: a hash that tells none of them.
  FoundInLayers layers;
  std::set<std::string> given_up;  ///< Digests of layers for which there was not time enough.
  /// Digests of images that were searched whole and hold nothing that is still to be told, the
  /// newest first.
  std::vector<std::string> clean;
  bool told_of_env_file = false;
};

/// Empty when the text is none, or too large to be one.
LayerNote read_layer_note(std::string_view text);
/// The newest of `clean`; as many are kept as people go back to.
void add_clean(LayerNote& note, const std::string& digest);
std::string write_layer_note(const LayerNote& note);

}  // namespace builder::domain
