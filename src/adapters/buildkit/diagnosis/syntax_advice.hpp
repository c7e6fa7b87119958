#pragma once

#include "adapters/buildkit/diagnosis/dockerfile.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::buildkit {

/// What a frontend newer than the engine's own would have understood, named for a sentence: `COPY
/// --parents`, `heredocs (<<)`; empty: nothing.
std::string newer_flag(std::string_view keyword, std::string_view flag);
std::string newer_mount_option(std::string_view option);

/// The flag, keyword or mount option a misspelt one is nearest to; empty when none is near.
std::string nearest_flag(std::string_view keyword, std::string_view flag);
std::string nearest_keyword(std::string_view word);
std::string nearest_mount_option(std::string_view option);

/// The sentence about a word that was meant as a flag and is none: a typographic dash of a copied
/// text before it, or one dash only; empty when all are right.
std::string misread_flag(const Instruction& instruction);

/// The first typographic quotes in `text`, as they stand there; empty when there are none.
std::string typographic_quotes(std::string_view text);

/// What is wrong with the file as a text, and where: UTF-16, bytes that are not UTF-8, a line that
/// is too long. Empty sentence: nothing.
struct TextFault {
  std::size_t line = 0;
  std::string sentence;
};

/// UTF-16 and NUL characters.
TextFault encoding_fault(std::string_view text);
/// The first line that is not UTF-8.
TextFault first_line_not_utf8(const Dockerfile& file);
/// The first line that is longer than a frontend reads.
TextFault first_long_line(const Dockerfile& file);

}  // namespace builder::adapters::buildkit
