#pragma once

#include "base/result.hpp"

#include <string>

namespace builder {

/// Removes a folder and everything in it without following links, also folders that their owner may
/// not write. It is no error if there is none.
Result<> remove_tree(const std::string& path);

/// Makes a folder (0700) with its parents; an existing one is fine.
Result<> make_directories(const std::string& path);

/// A folder of its own (0700), removed with the object.
class TempDir {
 public:
  /// `parent` must exist.
  static Result<TempDir> make(const std::string& parent, const std::string& prefix);
  TempDir(TempDir&& other) noexcept;
  TempDir& operator=(TempDir&& other) noexcept;
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit TempDir(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace builder
