#include "build/image_memory.hpp"

#include "base/json.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace builder::build {

namespace {

constexpr std::size_t k_longest_memory = 1u << 20;

std::optional<MadeImage> image_of(const nlohmann::json& entry) {
  MadeImage image{.inputs = text_of(entry, "inputs"),
                  .repository = text_of(entry, "repository"),
                  .digest = text_of(entry, "digest"),
                  .bases = {},
                  .made_at = {},
                  .commit = text_of(entry, "commit")};
  const auto made_at = entry.find("madeAt");
  const auto bases = entry.find("bases");
  if (image.inputs.empty() || image.repository.empty() || image.digest.empty() ||
      made_at == entry.end() || !made_at->is_number_integer() || bases == entry.end() ||
      !bases->is_object()) {
    return std::nullopt;
  }
  image.made_at = std::chrono::sys_seconds(std::chrono::seconds(made_at->get<std::int64_t>()));
  for (const auto& [name, digest] : bases->items()) {
    if (!digest.is_string()) {
      return std::nullopt;
    }
    image.bases.push_back({.name = name, .digest = digest.get<std::string>()});
  }
  return image;
}

}  // namespace

ImageMemory ImageMemory::read(std::string_view text) {
  ImageMemory memory;
  if (text.empty() || text.size() > k_longest_memory) {
    return memory;
  }
  const auto list = parse_json(text);
  if (!list.is_array()) {
    return memory;
  }
  for (const auto& entry : list) {
    if (auto image = entry.is_object() ? image_of(entry) : std::nullopt;
        image && memory.images_.size() < k_most) {
      memory.images_.push_back(*std::move(image));
    }
  }
  return memory;
}

std::string ImageMemory::write() const {
  auto list = nlohmann::json::array();
  for (const MadeImage& image : images_) {
    auto bases = nlohmann::json::object();
    for (const domain::BaseImage& base : image.bases) {
      bases[base.name] = base.digest;
    }
    list.push_back({{"inputs", image.inputs},
                    {"repository", image.repository},
                    {"digest", image.digest},
                    {"bases", std::move(bases)},
                    {"madeAt", image.made_at.time_since_epoch().count()},
                    {"commit", image.commit}});
  }
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void ImageMemory::forget_before(std::chrono::sys_seconds time) {
  std::erase_if(images_, [time](const MadeImage& image) { return image.made_at < time; });
}

void ImageMemory::add(MadeImage image) {
  std::erase_if(images_, [&image](const MadeImage& other) {
    return other.inputs == image.inputs && other.repository == image.repository;
  });
  images_.insert(images_.begin(), std::move(image));
  images_.resize(std::min(images_.size(), k_most));
}

const MadeImage* ImageMemory::find(std::string_view inputs, std::string_view repository) const {
  const auto found = std::ranges::find_if(images_, [&](const MadeImage& image) {
    return image.inputs == inputs && image.repository == repository;
  });
  return found == images_.end() ? nullptr : &*found;
}

std::vector<std::string> ImageMemory::base_names() const {
  std::vector<std::string> names;
  for (const MadeImage& image : images_) {
    for (const domain::BaseImage& base : image.bases) {
      if (names.size() < k_most_bases && std::ranges::find(names, base.name) == names.end()) {
        names.push_back(base.name);
      }
    }
  }
  return names;
}

const domain::BaseImage* ImageMemory::last(std::string_view base_name) const {
  for (const MadeImage& image : images_) {
    const auto found = std::ranges::find(image.bases, base_name, &domain::BaseImage::name);
    if (found != image.bases.end()) {
      return &*found;
    }
  }
  return nullptr;
}

}  // namespace builder::build
