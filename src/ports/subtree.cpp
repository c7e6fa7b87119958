#include "ports/subtree.hpp"

#include "base/text.hpp"
#include "ports/source_path.hpp"

#include <utility>

namespace builder::ports {

namespace {

class Subtree final : public SourceTree {
 public:
  Subtree(std::shared_ptr<const SourceTree> whole, std::string folder)
      : whole_(std::move(whole)), folder_(std::move(folder)) {}

  Result<std::vector<DirectoryEntry>> list(std::string_view path) const override {
    return whole_->list(in_whole(path));
  }

  Result<FileInfo> stat(std::string_view path) const override {
    return whole_->stat(in_whole(path));
  }

  Result<std::unique_ptr<FileReader>> open(std::string_view path) const override {
    return whole_->open(in_whole(path));
  }

  Result<std::string> read_link(std::string_view path) const override {
    return whole_->read_link(in_whole(path));
  }

 private:
  [[nodiscard]] std::string in_whole(std::string_view path) const {
    return path.empty() ? folder_ : path_in(folder_, path);
  }

  const std::shared_ptr<const SourceTree> whole_;
  const std::string folder_;
};

}  // namespace

Result<std::shared_ptr<const SourceTree>> make_subtree(std::shared_ptr<const SourceTree> whole,
                                                       std::string folder) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = folder.find('/', end + 1);
    const auto info = whole->stat(std::string_view(folder).substr(0, end));
    if (!info || info->type != FileType::directory) {
      return std::unexpected(Error{
          .kind = ErrorKind::not_found,
          .message = "no folder " + folder,
          .customer = "There is no folder '" + printable_line(folder, 100) + "' in this commit"});
    }
  }
  return std::make_shared<Subtree>(std::move(whole), std::move(folder));
}

}  // namespace builder::ports
