#pragma once

#include "domain/base_image.hpp"
#include "domain/downloads.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace builder::domain {

/// What the operator says about provenance.
enum class AttestationRule {
  off,       ///< None is made.
  on,        ///< Made; a failure of it is told, and fails no deployment.
  required,  ///< No image is deployed without.
};

/// https://slsa.dev/spec/v1.1/provenance
inline constexpr std::string_view k_provenance_type = "https://slsa.dev/provenance/v1";
/// What cosign calls a signature of an image: a statement about it that says nothing.
inline constexpr std::string_view k_image_signature_type = "https://sigstore.dev/cosign/sign/v1";

/// How an image was made from a Dockerfile. Of arguments and variables the names alone: a value may
/// be a secret.
struct MadeFromDockerfile {
  std::string dockerfile;
  std::string target;
  std::string platform;
  std::vector<std::string> arguments;  ///< That the customer set.
  std::vector<std::string> variables;  ///< Of the service, that the build was offered.
};

struct MadeWithBuildpacks {
  std::string builder;                  ///< As the build was asked for it.
  std::string platform;                 ///< Several with commas.
  std::vector<std::string> buildpacks;  ///< That took part: `id version`.
  std::vector<std::string> variables;   ///< Of the service or the project, that buildpacks saw.
};

/// How an image came to be, as far as the worker that built it knows.
struct Provenance {
  std::string builder_id;  ///< A URI.
  std::string builder_version;
  std::string deployment;
  std::string image;   ///< `host[:port]/path`.
  std::string digest;  ///< `sha256:…`.
  std::string source;  ///< The URL that was fetched, without credentials.
  std::string branch;  ///< Empty: the repository's default one.
  std::string commit;
  std::variant<MadeFromDockerfile, MadeWithBuildpacks> way;
  std::vector<BaseImage> bases;
  /// They are all that the build took an image or a file from, apart from downloads of its steps.
  bool has_all_bases = false;
  std::optional<Downloads> downloads = {};  ///< nullopt: nobody recorded them.
  std::chrono::sys_seconds started_at{};
  std::chrono::sys_seconds finished_at{};
};

/// An in-toto statement v1 with SLSA provenance v1, in JSON; docs/provenance.md describes it. The
/// same value gives the same text.
std::string provenance_statement(const Provenance& provenance);

/// The statement that signs an image as `cosign sign` does.
std::string signature_statement(std::string_view digest);

}  // namespace builder::domain
