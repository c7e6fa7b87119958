#pragma once

#include "buildkit_ops.pb.h"

#include <map>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// An image by its digest, as engines write it, and for what platform (`OS/ARCH[/VARIANT]`; empty:
/// the engine's own). Nothing that its configuration says is obeyed.
struct PlatformImage {
  std::string reference;
  std::string platform = {};
};

/// A command of ours that runs in an image. It has no network and no secret. It sees the files of
/// other images and cannot change them; `/tmp` is in memory.
struct ImageCommand {
  std::string name;  ///< Of the step: `[name] RUN …`.
  PlatformImage image;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;         ///< `NAME=value`.
  std::string folder;                           ///< Where it runs; empty: `/`.
  std::map<std::string, PlatformImage> mounts;  ///< By their folders.
  std::string result;  ///< What it leaves in this folder is the solve's result.
};

/// The build (LLB) that runs the command. Equal commands have equal digests, so an engine that has
/// run one knows its result. `step_attributes`: see `SolverSettings`.
pb::Definition definition_of(const ImageCommand& command,
                             const std::map<std::string, std::string>& step_attributes);

}  // namespace builder::adapters::buildkit
