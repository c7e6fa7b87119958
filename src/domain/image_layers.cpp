#include "domain/image_layers.hpp"

#include "base/size.hpp"

namespace builder::domain {

std::string write_last_layers(const DeploymentId& deployment, const ImageLayers& layers) {
  std::string text = deployment.str();
  for (const auto& [digest, bytes] : layers) {
    text += "\n" + digest;
  }
  return text;
}

LastLayers read_last_layers(std::string_view text) {
  LastLayers last;
  last.deployment = text.substr(0, text.find('\n'));
  while (text.contains('\n')) {
    text.remove_prefix(text.find('\n') + 1);
    last.digests.emplace(text.substr(0, text.find('\n')));
  }
  return last;
}

ImageSize size_of(const ImageLayers& layers, const LastLayers& last,
                  const DeploymentId& deployment) {
  ImageSize size{.bytes = 0, .layers = layers.size(), .new_bytes = {}};
  std::uint64_t new_bytes = 0;
  for (const auto& [digest, bytes] : layers) {
    size.bytes += bytes;
    new_bytes += last.digests.contains(digest) ? 0 : bytes;
  }
  if (!last.digests.empty() && last.deployment != deployment.str()) {
    size.new_bytes = new_bytes;
  }
  return size;
}

std::string in_words(const ImageSize& size) {
  if (size.layers == 0) {
    return {};
  }
  const std::string change = !size.new_bytes ? ""
                             : *size.new_bytes == 0
                                 ? ", nothing new"
                                 : ", " + bytes_in_words(*size.new_bytes) + " new";
  return bytes_in_words(size.bytes) + " compressed" + change;
}

}  // namespace builder::domain
