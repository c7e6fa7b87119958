#include "adapters/host/folder_sink.hpp"

#include "base/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <map>
#include <optional>
#include <utility>

namespace builder::adapters::host {

namespace {

constexpr std::size_t k_block = 512;
/// Of pax headers and long names.
constexpr std::uint64_t k_most_meta = 1U << 20U;
constexpr mode_t k_permissions = 0777;
/// Of folders the sticky bit too: without it /tmp would be one where anybody removes anything.
constexpr mode_t k_folder_permissions = k_permissions | S_ISVTX;

std::unexpected<Error> no_tar(std::string_view what) {
  return failure(ErrorKind::invalid_input, fmt::format("the result is no tar: {}", what));
}

/// A field of the header up to its first NUL.
std::string_view field(std::string_view header, std::size_t at, std::size_t size) {
  const std::string_view text = header.substr(at, size);
  return text.substr(0, text.find('\0'));
}

/// Octal digits between blanks; of GNU, big numbers as bytes behind a set top bit.
std::optional<std::uint64_t> number(std::string_view header, std::size_t at, std::size_t size) {
  const std::string_view raw = header.substr(at, size);
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(raw.front()) & 0x80U) != 0) {
    for (std::size_t i = 1; i < raw.size(); ++i) {
      if (value >> 55U != 0) {
        return std::nullopt;
      }
      value = value << 8U | static_cast<unsigned char>(raw[i]);
    }
    return value;
  }
  std::string_view text = field(header, at, size);
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  text = text.substr(0, text.find(' '));
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
         : text.empty()                                           ? std::optional<std::uint64_t>(0)
                                                                  : std::nullopt;
}

bool has_right_sum(std::string_view header) {
  const auto wanted = number(header, 148, 8);
  std::uint64_t sum = 8 * std::uint64_t{' '};
  for (std::size_t i = 0; i < header.size(); ++i) {
    sum += i >= 148 && i < 156 ? 0U : static_cast<unsigned char>(header[i]);
  }
  return wanted == sum;
}

/// The parts of a name, `/` and `./` in front taken away; nullopt: it leads out.
std::optional<std::string> clean(std::string_view name) {
  std::string path;
  while (!name.empty()) {
    const std::string_view part = name.substr(0, name.find('/'));
    name.remove_prefix(std::min(part.size() + 1, name.size()));
    if (part == ".." || part.contains('\0')) {
      return std::nullopt;
    }
    if (!part.empty() && part != ".") {
      path.append(path.empty() ? "" : "/").append(part);
    }
  }
  return path;
}

std::pair<std::string, std::string> split(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::pair(std::string(), path)
                                    : std::pair(path.substr(0, slash), path.substr(slash + 1));
}

}  // namespace

class FolderSink::Unpacker {
 public:
  Unpacker(Fd root, std::string shown) : root_(std::move(root)), shown_(std::move(shown)) {}

  void restart() {
    *this = Unpacker(Fd(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0)), std::move(shown_));
  }

  Result<> take(std::string_view bytes) {
    while (!bytes.empty()) {
      if (content_left_ > 0) {
        const auto part = bytes.substr(0, content_left_);
        BUILDER_TRY(content(part));
        content_left_ -= part.size();
        bytes.remove_prefix(part.size());
        if (content_left_ == 0) {
          BUILDER_TRY(end_entry());
        }
      } else if (padding_ > 0) {
        const std::size_t skipped = std::min<std::size_t>(padding_, bytes.size());
        padding_ -= skipped;
        bytes.remove_prefix(skipped);
      } else {
        const std::size_t missing = k_block - header_.size();
        header_ += bytes.substr(0, missing);
        bytes.remove_prefix(std::min(missing, bytes.size()));
        if (header_.size() == k_block) {
          BUILDER_TRY(entry(std::exchange(header_, {})));
        }
      }
    }
    return {};
  }

  [[nodiscard]] Result<> finish() const {
    return ended_ ? Result<>() : no_tar("it ends too early");
  }

  [[nodiscard]] std::uint64_t size() const { return size_; }

  [[nodiscard]] std::size_t passed_over() const { return passed_over_; }

 private:
  Result<> entry(const std::string& header) {
    if (ended_ || header.find_first_not_of('\0') == std::string::npos) {
      ended_ = true;  // What stands behind the blocks of zeros is filling.
      return {};
    }
    const auto size = number(header, 124, 12);
    const auto mode = number(header, 100, 8);
    const auto time = number(header, 136, 12);
    if (!header.substr(257).starts_with("ustar") || !has_right_sum(header) || !size || !mode ||
        !time) {
      return no_tar("a header is damaged");
    }
    type_ = header[156];
    content_left_ = *size;
    if (const auto said = pax_.find("size"); said != pax_.end() && !is_meta()) {
      const std::string& text = said->second;
      if (std::from_chars(text.data(), text.data() + text.size(), content_left_).ec !=
          std::errc()) {
        return no_tar("a size is no number");
      }
    }
    padding_ = (k_block - content_left_ % k_block) % k_block;
    if (is_meta()) {
      if (content_left_ > k_most_meta) {
        return no_tar("a header is too large");
      }
      meta_.clear();
      return content_left_ == 0 ? end_entry() : Result<>();
    }
    std::string name(field(header, 0, 100));
    if (const auto prefix = field(header, 345, 155);
        header.substr(257, 6) == std::string_view("ustar\0", 6) && !prefix.empty()) {
      name = std::string(prefix) + "/" + name;
    }
    std::string link(field(header, 157, 100));
    name = said("path", std::exchange(long_name_, {}), std::move(name));
    link = said("linkpath", std::exchange(long_link_, {}), std::move(link));
    pax_.clear();
    BUILDER_TRY(
        make(name, link,
             static_cast<mode_t>(*mode) & (type_ == '5' ? k_folder_permissions : k_permissions),
             static_cast<std::time_t>(*time)));
    return content_left_ == 0 ? end_entry() : Result<>();
  }

  [[nodiscard]] bool is_meta() const {
    return type_ == 'x' || type_ == 'g' || type_ == 'L' || type_ == 'K';
  }

  std::string said(const char* key, std::string gnus, std::string headers) {
    const auto found = pax_.find(key);
    return found != pax_.end() ? found->second : !gnus.empty() ? std::move(gnus) : headers;
  }

  Result<> content(std::string_view bytes) {
    if (is_meta()) {
      meta_ += bytes;
      return {};
    }
    if (!file_) {
      return {};  // Of an entry that is passed over.
    }
    size_ += bytes.size();
    while (!bytes.empty()) {
      const ssize_t count = ::write(file_.get(), bytes.data(), bytes.size());
      if (count < 0 && errno != EINTR) {
        return errno_failure("write " + path_);
      }
      bytes.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    }
    return {};
  }

  Result<> end_entry() {
    if (type_ == 'L' || type_ == 'K') {
      (type_ == 'L' ? long_name_ : long_link_) = meta_.substr(0, meta_.find('\0'));
    } else if (type_ == 'x') {
      return read_pax();
    } else if (file_) {
      const std::array<timespec, 2> times{
          {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = time_, .tv_nsec = 0}}};
      ::futimens(file_.get(), times.data());
      file_ = Fd();
    }
    return {};
  }

  /// "LENGTH KEY=VALUE\n", the length counting all of it.
  Result<> read_pax() {
    pax_.clear();  // The last one in front of an entry counts, as in archive/tar.
    for (std::string_view rest = meta_; !rest.empty();) {
      std::size_t length = 0;
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
      const auto begin = static_cast<std::size_t>(end - rest.data()) + 1;
      if (error != std::errc() || length > rest.size() || begin >= length) {
        return no_tar("a pax header is damaged");
      }
      const std::string_view record = rest.substr(begin, length - begin - 1);
      const auto equals = record.find('=');
      if (equals == std::string_view::npos) {
        return no_tar("a pax header is damaged");
      }
      pax_.insert_or_assign(std::string(record.substr(0, equals)),
                            std::string(record.substr(equals + 1)));
      rest.remove_prefix(length);
    }
    return {};
  }

  std::unexpected<Error> leads_out(std::string_view name) const {
    return failure(ErrorKind::invalid_input, fmt::format("'{}' of the result leads out of {}",
                                                         printable_line(name, 100), shown_));
  }

  Result<> make(const std::string& name, const std::string& link, mode_t mode, std::time_t time) {
    const auto path = clean(name);
    if (!path) {
      return leads_out(name);
    }
    path_ = shown_ + "/" + printable_line(*path, 200);
    time_ = time;
    if (path->empty()) {
      return {};  // The folder itself.
    }
    const auto [parent, last] = split(*path);
    const bool known =
        type_ == '0' || type_ == '\0' || type_ == '5' || type_ == '2' || type_ == '1';
    if (!known) {
      ++passed_over_;
      return {};
    }
    BUILDER_TRY_ASSIGN(const Fd folder, open_folder(parent));
    if (type_ == '5') {
      return make_folder(folder, last, mode);
    }
    if (::unlinkat(folder.get(), last.c_str(), 0) != 0 && errno != ENOENT) {
      return errno_failure("replace " + path_);
    }
    if (type_ == '2') {
      return ::symlinkat(link.c_str(), folder.get(), last.c_str()) == 0
                 ? Result<>()
                 : errno_failure("make the link " + path_);
    }
    if (type_ == '1') {
      return make_hard_link(link, folder, last);
    }
    file_ = Fd(::openat(folder.get(), last.c_str(),
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode | S_IWUSR));
    if (!file_ || ::fchmod(file_.get(), mode) != 0) {
      return errno_failure("write " + path_);
    }
    return {};
  }

  Result<> make_folder(const Fd& parent, const std::string& name, mode_t mode) const {
    // Whoever unpacks goes on to write into it.
    const mode_t usable = mode | S_IRWXU;
    if (::mkdirat(parent.get(), name.c_str(), usable) != 0 && errno != EEXIST) {
      return errno_failure("make " + path_);
    }
    const Fd made(
        ::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!made || ::fchmod(made.get(), usable) != 0) {
      return errno_failure("make " + path_);
    }
    return {};
  }

  Result<> make_hard_link(const std::string& target, const Fd& folder, const std::string& name) {
    const auto path = clean(target);
    if (!path || path->empty()) {
      return leads_out(target);
    }
    const auto [parent, last] = split(*path);
    BUILDER_TRY_ASSIGN(const Fd from, open_below(parent));
    // Without AT_SYMLINK_FOLLOW: of a link, the link itself.
    return ::linkat(from.get(), last.c_str(), folder.get(), name.c_str(), 0) == 0
               ? Result<>()
               : errno_failure("make the link " + path_);
  }

  /// A folder below the root, made with its parents if there is none.
  Result<Fd> open_folder(const std::string& path) const {
    auto opened = open_below(path);
    if (opened || opened.error().kind != ErrorKind::not_found) {
      return opened;
    }
    const auto [parent, last] = split(path);
    BUILDER_TRY_ASSIGN(const Fd above, open_folder(parent));
    if (::mkdirat(above.get(), last.c_str(), k_permissions) != 0 && errno != EEXIST) {
      return errno_failure("make " + shown_ + "/" + printable_line(path, 200));
    }
    return open_below(path);
  }

  Result<Fd> open_below(const std::string& path) const {
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const std::string name = path.empty() ? "." : path;
    for (;;) {
      const long fd = ::syscall(SYS_openat2, root_.get(), name.c_str(), &how, sizeof how);
      if (fd >= 0) {
        return Fd(static_cast<int>(fd));
      }
      if (errno == ELOOP) {
        return failure(ErrorKind::invalid_input,
                       fmt::format("{} lies behind a link, which is not followed", path_));
      }
      if (errno != EAGAIN && errno != EINTR) {
        return errno_failure("open " + path_);
      }
    }
  }

  Fd root_;
  std::string shown_;  ///< The folder, for people.
  std::string header_;
  std::uint64_t content_left_ = 0;
  std::uint64_t padding_ = 0;
  char type_ = '0';
  std::string meta_;
  std::map<std::string, std::string, std::less<>> pax_;
  std::string long_name_;
  std::string long_link_;
  std::string path_;  ///< Of the entry, for people.
  std::time_t time_ = 0;
  Fd file_;
  std::uint64_t size_ = 0;
  std::size_t passed_over_ = 0;
  bool ended_ = false;
};

Result<std::unique_ptr<FolderSink>> FolderSink::open(const std::string& folder) {
  if (::mkdir(folder.c_str(), k_permissions) != 0 && errno != EEXIST) {
    return errno_failure(folder);
  }
  Fd root(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) {
    return errno_failure(folder);
  }
  return std::unique_ptr<FolderSink>(
      new FolderSink(std::make_unique<Unpacker>(std::move(root), folder)));
}

FolderSink::FolderSink(std::unique_ptr<Unpacker> unpacker) : unpacker_(std::move(unpacker)) {
}

FolderSink::~FolderSink() = default;

Result<> FolderSink::begin() {
  unpacker_->restart();
  return {};
}

Result<> FolderSink::write(std::string_view bytes) {
  return unpacker_->take(bytes);
}

Result<> FolderSink::finish() const {
  return unpacker_->finish();
}

std::uint64_t FolderSink::size() const {
  return unpacker_->size();
}

std::size_t FolderSink::passed_over() const {
  return unpacker_->passed_over();
}

}  // namespace builder::adapters::host
