#pragma once

#include <string>
#include <string_view>

namespace builder::adapters::buildkit {

/// `text` without what says something about the engine's machine only: paths of its disk (what lies
/// below the root of a step's file system stays, as a path of the image), ids of its snapshots and
/// cache records.
std::string without_engine_paths(std::string_view text);

/// Whether these words of the engine, which must not quote a command or a file of the customer,
/// tell of trouble of its own: network, disk, memory, its store, the runtime. What is built is not
/// to blame, and may succeed on another engine or later.
bool is_engine_fault(std::string_view words);

/// Whether a step's output is the container runtime's: it could not start the command.
bool is_runtime_message(std::string_view output);

/// The registry, or the way to it, is in trouble; what was asked for may well be there.
bool is_network_trouble(std::string_view text);

/// Without what stands in quotes and the parts of a path, which may be anybody's words.
std::string own_words(std::string_view text);

/// The engine's words about a RUN, without the command it quotes: `exit code: 1`.
std::string_view cause_of(std::string_view text);

}  // namespace builder::adapters::buildkit
