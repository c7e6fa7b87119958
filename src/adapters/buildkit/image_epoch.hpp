#pragma once

namespace builder::adapters::buildkit {

/// The times that an image bears: those of its build, or the commit's, so that each build of the
/// commit gives the same image.
enum class ImageEpoch {
  off,
  created,  ///< Of the image and its history. Layers are as they are in the engine's cache.
  layers,   ///< Of the files in the layers, too: no two commits share a layer made by a command.
};

}  // namespace builder::adapters::buildkit
