#pragma once

#include "adapters/buildkit/compression.hpp"
#include "adapters/docker/engine_address.hpp"
#include "adapters/history/history.hpp"
#include "adapters/oci/configured_logins.hpp"
#include "adapters/policy/policy.hpp"
#include "app/config/buildkit_address.hpp"
#include "app/host/admission.hpp"
#include "base/secret.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::app {

/// What is wrong with a value; empty when nothing is.
using Complaint = std::string;

/// Takes the text of a setting to where it belongs, unless something is wrong with it.
using ValueReader = std::function<Complaint(const std::string&)>;

/// The kinds of values that settings have. The targets outlive the readers.
namespace values {

std::optional<std::int64_t> whole_number(std::string_view text, std::int64_t low,
                                         std::int64_t high);

ValueReader text(std::string& target);
/// A name or an address (IPv6 also in brackets) without a port, which `port_setting` is for.
ValueReader host_name(std::string& target, std::string_view port_setting);
ValueReader secret(Secret& target);
/// Comma-separated.
ValueReader list(std::vector<std::string>& target);
ValueReader duration(std::chrono::seconds& target, std::int64_t low,
                     std::chrono::seconds most = std::chrono::days(7));
ValueReader size(std::uint64_t& target);
/// Takes `auto`, or what `other` takes.
ValueReader or_auto(bool& is_auto, ValueReader other);
/// A number of cores, also a part of one; 0: no limit.
ValueReader core_count(double& target);
ValueReader free_floor(FreeFloor& target);
/// Of a folder of this machine; it need not exist yet.
ValueReader history_keep(adapters::history::Keep& target);
ValueReader absolute_path(std::string& target);
ValueReader http_url(std::string& target);
ValueReader listen_address(std::string& target);
ValueReader engine_address(adapters::docker::EngineAddress& target);
/// Empty: absent.
ValueReader buildkit_addresses(std::vector<BuildkitAddress>& target);
/// Names with commas between them, and blanks.
ValueReader platform_list(std::string& target);
/// `gzip` or `zstd`, and a level behind a colon.
ValueReader compression(adapters::buildkit::Compression& target);
ValueReader region(std::string& target);
/// Names a file; the target gets the logins in it.
ValueReader auths_file(adapters::oci::LoginTable& target);
/// Likewise; null when none is named.
ValueReader policy_file(std::shared_ptr<const adapters::policy::Policy>& target);

template <class Number>
ValueReader number(Number& target, std::int64_t low, std::int64_t high) {
  return [&target, low, high](const std::string& value) -> Complaint {
    const auto parsed = whole_number(value, low, high);
    if (!parsed) {
      return fmt::format("must be a whole number from {} to {}", low, high);
    }
    target = static_cast<Number>(*parsed);
    return {};
  };
}

template <class Value>
ValueReader one_of(Value& target, std::vector<std::pair<std::string, Value>> choices) {
  return [&target, choices = std::move(choices)](const std::string& value) -> Complaint {
    std::string words;
    for (const auto& [word, meaning] : choices) {
      if (value == word) {
        target = meaning;
        return {};
      }
      words += (words.empty() ? "" : ", ") + word;
    }
    return "must be one of " + words;
  };
}

}  // namespace values

}  // namespace builder::app
