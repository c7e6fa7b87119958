#pragma once

#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "domain/base_image.hpp"
#include "ports/image_builder.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace builder::adapters::buildkit {

/// The Dockerfile for an engine that cannot be told which version of an image to take: with the
/// digest of its pin in each FROM that names one in plain letters, on one line. What it says
/// otherwise, and where, stays as it is.
std::string with_pins(std::string_view dockerfile, const ports::ImagePins& pins);

/// The image that the result of a stage (empty: of the last) is made of, where the FROM says it in
/// plain letters; its digest as it is written there or pinned, else empty. Without a tag the name
/// is empty. `by_text`: pins count as `with_pins` has them.
std::optional<domain::BaseImage> base_of_result(const Dockerfile& dockerfile,
                                                std::string_view target,
                                                const ports::ImagePins& pins, bool by_text);

/// The labels that the Dockerfile does not set itself, for the frontend, which puts them over its
/// own. None where it cannot be told: another frontend than Docker's reads the file, or the name
/// of a label is in a variable.
std::map<std::string, std::string> labels_left(std::map<std::string, std::string> labels,
                                               std::string_view dockerfile);

}  // namespace builder::adapters::buildkit
