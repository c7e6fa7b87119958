#include "build/base_pins.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace builder::build {

namespace {

constexpr std::size_t k_longest_pins = 64 * 1024;
constexpr std::size_t k_longest_name = 512;
constexpr std::uint64_t k_latest = std::uint64_t{1} << 40U;  // No second that anybody will see.

}  // namespace

BasePins BasePins::read(std::string_view text) {
  BasePins pins;
  if (text.empty() || text.size() > k_longest_pins) {
    return pins;
  }
  const auto images = parse_json(text);
  if (!images.is_object()) {
    return pins;
  }
  for (const auto& [name, pin] : images.items()) {
    if (!pin.is_object()) {
      continue;
    }
    const std::string digest = text_of(pin, "digest");
    const auto since = pin.find("since");
    if (since != pin.end() && since->is_number_unsigned() &&
        since->get<std::uint64_t>() < k_latest) {
      pins.renew({.name = name, .digest = digest},
                 std::chrono::sys_seconds(std::chrono::seconds(since->get<std::int64_t>())));
    }
  }
  return pins;
}

std::string BasePins::write() const {
  auto images = nlohmann::json::object();
  for (const auto& [name, pin] : pins_) {
    images[name] = {{"digest", pin.digest}, {"since", pin.since.time_since_epoch().count()}};
  }
  return images.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ports::ImagePins BasePins::at(std::chrono::sys_seconds now, std::chrono::seconds renew) const {
  ports::ImagePins pins;
  for (const auto& [name, pin] : pins_) {
    if (renew.count() == 0 || now < pin.since + renew) {
      pins.emplace(name, pin.digest);
    }
  }
  return pins;
}

const PinnedBase* BasePins::find(std::string_view name) const {
  const auto found = pins_.find(name);
  return found == pins_.end() ? nullptr : &found->second;
}

void BasePins::renew(const domain::BaseImage& image, std::chrono::sys_seconds now) {
  if (image.name.empty() || image.name.size() > k_longest_name || !is_digest(image.digest)) {
    return;
  }
  pins_.insert_or_assign(image.name, PinnedBase{.digest = image.digest, .since = now});
  if (pins_.size() > k_most) {
    pins_.erase(
        std::ranges::min_element(pins_, {}, [](const auto& pin) { return pin.second.since; }));
  }
}

}  // namespace builder::build
