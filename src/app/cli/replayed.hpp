#pragma once

#include "domain/build_event.hpp"
#include "ports/build_history.hpp"
#include "ports/image_builder.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::app::cli {

using NamedValues = std::vector<std::pair<std::string, std::string>>;

/// A run of the history as far as it can be repeated, and what is known to be different.
struct Replayed {
  std::string deployment;
  int attempt = 0;
  std::string worker;
  ports::HistoryTime started{};
  std::string outcome;
  std::string digest;  ///< Of the image that it made; empty: none.

  std::vector<std::string> given;    ///< Variables of then that are here; a history has no values.
  std::vector<std::string> missing;  ///< Those that are not.
  std::vector<std::string> added;    ///< Those that it did not have.

  /// Of its worker, those that an image depends on; empty: the history does not tell.
  NamedValues settings;
  ports::ImagePins pins;              ///< Images that are taken as they were.
  std::vector<std::string> unpinned;  ///< Those that are taken as they are now.
};

enum class Bases {
  of_then,
  of_now,
};

/// `given`: names of the variables that are here.
Replayed replayed(const ports::KeptRunDetails& run, const std::vector<std::string>& given,
                  Bases bases);

/// What is told before the build; warnings of what may make another image.
std::vector<domain::Message> replay_messages(const Replayed& replay);

/// The same for programs; docs/cli.md lists the fields.
nlohmann::ordered_json replay_json(const Replayed& replay);

}  // namespace builder::app::cli
