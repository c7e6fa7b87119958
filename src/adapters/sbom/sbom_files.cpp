#include "adapters/sbom/sbom_files.hpp"

namespace builder::adapters::sbom {

using image_search::TarNames;

Result<> SbomFiles::feed(std::string_view piece) {
  length_ += piece.size();
  if (length_ > limit_) {
    fault_ = "it is too long";
  }
  if (fault_ == nullptr) {
    names_.feed(piece);
  }
  return fault_ == nullptr ? Result<>() : failure(ErrorKind::invalid_input, fault_);
}

void SbomFiles::take(std::string_view bytes, std::string_view path, TarNames::Part part) {
  if (fault_ != nullptr) {
    return;
  }
  if (part == TarNames::Part::header) {
    while (path.starts_with("./") || path.starts_with('/')) {
      path.remove_prefix(path.starts_with('/') ? 1 : 2);
    }
    file_ = is_wanted_(path) ? &files_[std::string(path)] : nullptr;
    if (file_ != nullptr) {
      sum_ -= file_->size();
      file_->clear();  // Of two with one name the last one counts.
    }
    if (files_.size() > k_most_files) {
      fault_ = "there are too many of them";
    }
  } else if (part == TarNames::Part::content && file_ != nullptr) {
    sum_ += bytes.size();
    if (file_->size() + bytes.size() > k_largest_file || sum_ > k_largest_sum) {
      fault_ = "they are too large";
      return;
    }
    *file_ += bytes;
  }
}

}  // namespace builder::adapters::sbom
