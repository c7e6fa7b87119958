#include "adapters/buildkit/diagnosis/final_image.hpp"

#include "adapters/oci/reference.hpp"
#include "base/ascii.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

constexpr std::string_view k_blank = " \t\r";

/// What a FROM names, if that is an image and not an earlier stage, and no variable is in it.
std::optional<oci::Reference> image_of(const Dockerfile& dockerfile, const Instruction& from) {
  const std::string word = named_images(from).front();
  if (word == "scratch") {
    return std::nullopt;
  }
  for (const Instruction& other : dockerfile.instructions()) {
    if (other.keyword == "FROM" && other.lines.first < from.lines.first &&
        other.stage == lower_case(word)) {
      return std::nullopt;
    }
  }
  auto reference = oci::parse_reference(word);  // It takes neither variables nor quotes.
  return reference ? std::optional(*std::move(reference)) : std::nullopt;
}

/// As pins have it.
std::string tagged_name(oci::Reference reference) {
  reference.digest.clear();
  return reference.tag.empty() ? std::string() : oci::for_engine(reference);
}

std::string pin_of(const oci::Reference& reference, const ports::ImagePins& pins) {
  const auto pin = pins.find(tagged_name(reference));
  return pin == pins.end() ? std::string() : pin->second;
}

bool is_on_one_line(const Instruction& instruction) {
  return instruction.lines.first == instruction.lines.last;
}

/// Behind the word, which stands alone, and not at the beginning.
void insert_behind(std::string& line, std::string_view word, std::string_view text) {
  for (std::size_t at = line.find(word, 1); at != std::string::npos; at = line.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if (k_blank.contains(line[at - 1]) && (end == line.size() || k_blank.contains(line[end]))) {
      line.insert(end, text);
      return;
    }
  }
}

}  // namespace

std::string with_pins(std::string_view text, const ports::ImagePins& pins) {
  const Dockerfile dockerfile(text);
  std::map<std::size_t, const Instruction*> pinned;
  for (const Instruction& instruction : dockerfile.instructions()) {
    if (instruction.keyword == "FROM" && is_on_one_line(instruction)) {
      pinned.emplace(instruction.lines.first, &instruction);
    }
  }
  std::string out;
  std::size_t number = 1;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, end));
    if (const auto found = pinned.find(number); found != pinned.end()) {
      const auto image = image_of(dockerfile, *found->second);
      if (image && image->digest.empty()) {
        if (const std::string digest = pin_of(*image, pins); !digest.empty()) {
          insert_behind(line, named_images(*found->second).front(), "@" + digest);
        }
      }
    }
    out += line;
    out += end < text.size() ? "\n" : "";
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
  }
  return out;
}

std::optional<domain::BaseImage> base_of_result(const Dockerfile& dockerfile,
                                                std::string_view target,
                                                const ports::ImagePins& pins, bool by_text) {
  const Instruction* const from = dockerfile.final_base(target);
  const auto image = from == nullptr ? std::nullopt : image_of(dockerfile, *from);
  if (!image) {
    return std::nullopt;
  }
  std::string digest = image->digest;
  if (digest.empty() && (!by_text || is_on_one_line(*from))) {
    digest = pin_of(*image, pins);
  }
  return domain::BaseImage{.name = tagged_name(*image), .digest = std::move(digest)};
}

std::map<std::string, std::string> labels_left(std::map<std::string, std::string> labels,
                                               std::string_view text) {
  const Dockerfile dockerfile(text);
  if (const auto& frontend = dockerfile.frontend()) {
    const auto image = oci::parse_reference(frontend->reference);
    const std::string name =
        image ? oci::for_engine({.host = image->host, .repository = image->repository})
              : std::string();
    if (name != "docker.io/docker/dockerfile" && name != "docker.io/docker/dockerfile-upstream") {
      return {};
    }
  }
  for (const Instruction& instruction : dockerfile.instructions()) {
    const std::vector<std::string> words = parts_of(instruction.text).words;
    for (std::size_t i = 0; instruction.keyword == "LABEL" && i < words.size(); ++i) {
      const std::size_t equals = words[i].find('=');
      // A name without `=` is the first word.
      if ((i == 0 || equals != std::string::npos) && words[i].substr(0, equals).contains('$')) {
        return {};
      }
    }
  }
  // Wherever the name stands, and however it is quoted or broken over lines.
  std::string plain(text);
  std::erase_if(plain, [](char c) { return std::string_view("\"'\\` \t\r\n").contains(c); });
  std::erase_if(labels, [&plain](const auto& label) { return plain.contains(label.first); });
  return labels;
}

}  // namespace builder::adapters::buildkit
