#pragma once

#include "base/fd.hpp"
#include "ports/byte_sink.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace builder::adapters::host {

/// Unpacks a tar (POSIX ustar with pax headers, as Go's archive/tar writes it, and GNU's long
/// names) into a folder while it comes. The tar is a stranger's: nothing is written outside the
/// folder. Each name is resolved below it without following any link, whether it came with the tar
/// or was there before; links are made as they are and never followed.
///
/// Files and folders get their permissions without setuid and setgid, folders the sticky bit,
/// files their times; everything
/// belongs to whoever unpacks. A file replaces one of its name. Devices and pipes are passed over.
class FolderSink final : public ports::ByteSink {
 public:
  /// Makes the folder if there is none. Errors name it.
  static Result<std::unique_ptr<FolderSink>> open(const std::string& folder);
  ~FolderSink() override;
  FolderSink(const FolderSink&) = delete;
  FolderSink& operator=(const FolderSink&) = delete;

  /// What is unpacked stays, and is replaced by what comes.
  Result<> begin() override;
  /// `invalid_input` for what is no tar, or leads out of the folder.
  Result<> write(std::string_view bytes) override;
  /// Whether all of the tar was there.
  Result<> finish() const;

  [[nodiscard]] std::uint64_t size() const;       ///< Bytes of files written.
  [[nodiscard]] std::size_t passed_over() const;  ///< Entries.

 private:
  class Unpacker;
  explicit FolderSink(std::unique_ptr<Unpacker> unpacker);
  std::unique_ptr<Unpacker> unpacker_;
};

}  // namespace builder::adapters::host
