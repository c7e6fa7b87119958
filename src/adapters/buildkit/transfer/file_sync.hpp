#pragma once

#include "base/result.hpp"
#include "base/sync.hpp"
#include "domain/path_automaton.hpp"
#include "ports/source_tree.hpp"

#include "buildkit_session.grpc.pb.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// Serves one build's source to the daemon: FileSync.DiffCopy over a SourceTree as `context`, and
/// over what `dockerfile` gives as `dockerfile`. Called by the session server's threads, several at
/// once.
class FileSync final : public moby::filesync::v1::FileSync::Service {
 public:
  using Tree = std::shared_ptr<const ports::SourceTree>;

  /// `dockerfile` as of `SessionContent`.
  explicit FileSync(Tree tree, std::function<Result<Tree>()> dockerfile = {})
      : tree_(std::move(tree)), dockerfile_(std::move(dockerfile)) {}

  grpc::Status DiffCopy(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<fsutil::types::Packet, fsutil::types::Packet>* stream) override;

  /// Running transfers end as soon as they can; later ones at once.
  void stop() { stop_.request_stop(); }

  [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }

  /// The files of the context that the daemon asked for although it had a copy of others: those
  /// that are not as they were when it built from this context last. Empty when it had no copy, or
  /// when they are too many to keep.
  [[nodiscard]] std::vector<std::string> changed_files() { return *changed_.lock(); }

  /// Why a transfer failed on our side: the daemon repeats it only as text.
  [[nodiscard]] std::optional<Error> first_error() { return *error_.lock(); }

 private:
  void remember(const Error& error);
  grpc::Status failed(const Error& error);

  // Shared with whoever builds; transfers may outlast a cancelled build by a moment.
  Tree tree_;
  std::function<Result<Tree>()> dockerfile_;
  std::stop_source stop_;
  domain::MatchingBudget budget_;  // Of all transfers of the build.
  std::atomic<std::uint64_t> bytes_sent_{0};
  std::atomic<std::size_t> offered_{0};  // Bytes of the paths that all transfers keep.
  Sync<std::optional<Error>> error_;
  Sync<std::vector<std::string>> changed_;
};

}  // namespace builder::adapters::buildkit
