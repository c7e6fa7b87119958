#include "adapters/buildkit/transfer/file_sync.hpp"

#include "adapters/buildkit/transfer/tree_walk.hpp"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

using fsutil::types::Packet;
using fsutil::types::Stat;
using PacketStream = grpc::ServerReaderWriter<Packet, Packet>;

/// Daemons take messages up to 4 MiB (Engine 20.10) or 16 MiB; larger chunks gain nothing.
constexpr std::size_t k_packet = 256 * 1024;

/// What the transfers of a build keep of the files that they offer: twice the most that a source
/// has. One that asks for it again and again gets no more.
constexpr std::size_t k_most_offered = std::size_t{192} << 20U;
/// What is kept of the files that the daemon asked for; a larger change is not told file by file.
constexpr std::size_t k_most_changed = std::size_t{1} << 20U;
/// Beside the path.
constexpr std::size_t k_offered_file = 96;

std::string query_unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size() &&
               std::from_chars(&text[i + 1], &text[i + 1] + 2, value, 16).ptr == &text[i + 1] + 2) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

/// All values of one metadata key. BuildKit >= 0.12 marks escaped lists by `<key>-encoded: 1`.
std::vector<std::string> values(const grpc::ServerContext& context, const std::string& key) {
  const auto& metadata = context.client_metadata();
  const auto mark = metadata.find(key + "-encoded");
  const bool encoded = mark != metadata.end() && mark->second == "1";
  std::vector<std::string> out;
  const auto [begin, end] = metadata.equal_range(key);
  for (auto entry = begin; entry != end; ++entry) {
    const std::string_view value(entry->second.data(), entry->second.size());
    out.push_back(encoded ? query_unescaped(value) : std::string(value));
  }
  return out;
}

/// One DiffCopy call. The caller's thread lists the tree; a second one reads the daemon's requests,
/// a third one sends files, so that neither side ever waits for the other to read.
class Transfer {
 public:
  /// `on_error` is told why it fails before the daemon is, which may end the build at once.
  Transfer(const ports::SourceTree& tree, PacketStream& stream, domain::MatchingBudget& budget,
           std::atomic<std::uint64_t>& bytes_sent, std::atomic<std::size_t>& offered,
           std::function<void(const Error&)> on_error)
      : tree_(tree),
        stream_(stream),
        budget_(budget),
        bytes_sent_(bytes_sent),
        all_offered_(offered),
        on_error_(std::move(on_error)) {}

  ~Transfer() { all_offered_ -= offered_; }

  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// `cancelled` when the daemon left or the session ends.
  Result<> run(const TreeFilter& filter, const std::stop_token& session_stop) {
    const std::stop_callback stopper(session_stop, [this] { interrupt(); });
    // Must go out on its own: a first message that shares the batch with the initial metadata and
    // carries the buffer hint stays in grpc++ 1.51 until another stream writes.
    stream_.SendInitialMetadata();
    {
      const std::jthread reader([this] { read_requests(); });
      const std::jthread sender([this] { send_files(); });
      list(filter);
    }
    const std::scoped_lock lock(mutex_);
    if (error_) {
      return std::unexpected(*error_);
    }
    if (!finished_) {
      return failure(ErrorKind::cancelled, "transfer interrupted");
    }
    return {};
  }

  /// See `FileSync::changed_files`; once it has run.
  [[nodiscard]] std::vector<std::string> changed_files() && {
    const bool had_none = asked_.size() == offered_files_;
    return had_none || asked_bytes_ > k_most_changed ? std::vector<std::string>()
                                                     : std::move(asked_);
  }

 private:
  void list(const TreeFilter& filter) {
    std::uint32_t next = 0;
    Packet packet;
    const Result<> walked =
        walk_tree(tree_, filter, budget_, stop_.get_token(), [&](const Stat& stat) {
          // The daemon asks by position in this listing, counting every entry.
          const std::uint32_t id = next++;
          if ((stat.mode() & (k_mode_directory | k_mode_symlink)) == 0) {
            if (!may_offer(stat)) {
              return false;
            }
            const std::scoped_lock lock(mutex_);
            files_.emplace(id, File{stat.path(), static_cast<std::uint64_t>(stat.size())});
            ++offered_files_;
          }
          *packet.mutable_stat() = stat;
          return send(packet, true);
        });
    if (!walked) {
      fail(walked.error());
      return;
    }
    if (too_many_) {
      fail({.kind = ErrorKind::invalid_input,
            .message = "the transfers under way offer more files than are kept",
            .customer = "The build asks for all files of the repository too often at once"});
      return;
    }
    send(Packet(), false);  // A STAT packet without a stat ends the listing.
  }

  bool may_offer(const Stat& stat) {
    const std::size_t bytes = stat.path().size() + k_offered_file;
    offered_ += bytes;
    too_many_ = (all_offered_ += bytes) > k_most_offered;
    return !too_many_;
  }

  void read_requests() {
    Packet packet;
    while (stream_.Read(&packet)) {
      const std::scoped_lock lock(mutex_);
      if (packet.type() == Packet::REQ) {
        requested_.push_back(packet.id());
        changed_.notify_one();
      } else if (packet.type() == Packet::FIN) {
        finished_ = true;
        changed_.notify_one();
        return;
      } else if (packet.type() == Packet::ERR) {
        break;  // Its text comes back as the error of Solve.
      }
    }
    interrupt();  // The lock of the loop body is gone here.
  }

  void send_files() {
    for (;;) {
      std::uint32_t id = 0;
      File file;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !requested_.empty() || finished_ || interrupted_; });
        if (interrupted_) {
          return;
        }
        if (requested_.empty()) {
          break;
        }
        id = requested_.front();
        requested_.pop_front();
        const auto found = files_.find(id);
        if (found != files_.end()) {
          file = std::move(found->second);
          files_.erase(found);
        }
      }
      if (asked_bytes_ += file.path.size() + k_offered_file; asked_bytes_ <= k_most_changed) {
        asked_.push_back(file.path);
      }
      const Result<> sent =
          file.path.empty()
              ? failure(ErrorKind::internal, "the daemon asked for a file that was not offered")
              : send_file(id, file);
      if (!sent) {
        fail(sent.error());
        return;
      }
    }
    Packet packet;
    packet.set_type(Packet::FIN);
    send(packet, false);
  }

  struct File {
    std::string path;
    std::uint64_t size = 0;
  };

  Result<> send_file(std::uint32_t id, const File& file) {
    auto reader = tree_.open(file.path);
    if (!reader) {
      return std::unexpected(std::move(reader).error().with_context(file.path));
    }
    Packet packet;
    packet.set_type(Packet::DATA);
    packet.set_id(id);
    std::string& data = *packet.mutable_data();
    std::uint64_t total = 0;
    for (;;) {
      data.resize(k_packet);
      auto count = (*reader)->read(std::as_writable_bytes(std::span(data)));
      if (!count) {
        return std::unexpected(std::move(count).error().with_context(file.path));
      }
      if (*count == 0) {
        break;
      }
      total += *count;
      bytes_sent_ += *count;
      data.resize(*count);
      if (total > file.size || !send(packet, true)) {
        break;
      }
    }
    if (total != file.size && !stop_.stop_requested()) {
      // The daemon would keep the listed size beside other content and cache that.
      return failure(ErrorKind::internal, file.path + ": changed while it was sent");
    }
    data.clear();  // An empty DATA packet ends the file.
    bool more = false;
    {
      const std::scoped_lock lock(mutex_);
      more = !requested_.empty();
    }
    send(packet, more);
    return {};
  }

  bool send(const Packet& packet, bool more) {
    const std::scoped_lock lock(write_mutex_);
    if (!stop_.stop_requested() &&
        stream_.Write(packet,
                      more ? grpc::WriteOptions().set_buffer_hint() : grpc::WriteOptions())) {
      return true;
    }
    stop_.request_stop();
    return false;
  }

  void fail(const Error& error) {
    {
      const std::scoped_lock lock(mutex_);
      if (!error_ && error.kind != ErrorKind::cancelled) {
        error_ = error;
        on_error_(error);
      }
    }
    // The daemon answers by ending the stream, which ends the reader.
    Packet packet;
    packet.set_type(Packet::ERR);
    packet.set_data(error.message);
    send(packet, false);
    interrupt();
  }

  void interrupt() {
    stop_.request_stop();
    const std::scoped_lock lock(mutex_);
    interrupted_ = true;
    changed_.notify_all();
  }

  const ports::SourceTree& tree_;
  PacketStream& stream_;
  domain::MatchingBudget& budget_;
  std::atomic<std::uint64_t>& bytes_sent_;
  std::atomic<std::size_t>& all_offered_;
  const std::function<void(const Error&)> on_error_;
  std::size_t offered_ = 0;
  bool too_many_ = false;
  std::size_t offered_files_ = 0;
  std::vector<std::string> asked_;  // The sender's, until it has ended.
  std::size_t asked_bytes_ = 0;
  std::stop_source stop_;
  std::mutex write_mutex_;

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::unordered_map<std::uint32_t, File> files_;
  std::deque<std::uint32_t> requested_;
  std::optional<Error> error_;
  bool finished_ = false;
  bool interrupted_ = false;
};

}  // namespace

grpc::Status FileSync::DiffCopy(grpc::ServerContext* context, PacketStream* stream) {
  const std::vector<std::string> names = values(*context, "dir-name");
  if (names.size() != 1 || (names.front() != "context" && names.front() != "dockerfile")) {
    return {grpc::StatusCode::NOT_FOUND, "no such directory in this session"};
  }
  const TreeFilter filter{.include = values(*context, "include-patterns"),
                          .exclude = values(*context, "exclude-patterns"),
                          .follow = values(*context, "followpaths")};
  Tree tree = tree_;
  if (names.front() == "dockerfile" && dockerfile_) {
    auto given = dockerfile_();
    if (!given) {
      return failed(given.error());
    }
    tree = *std::move(given);
  }
  if (tree == nullptr) {
    return {grpc::StatusCode::NOT_FOUND, "no files in this session"};
  }
  Transfer transfer(*tree, *stream, budget_, bytes_sent_, offered_,
                    [this](const Error& error) { remember(error); });
  const Result<> done = transfer.run(filter, stop_.get_token());
  if (names.front() == "context" && done) {
    std::ranges::move(std::move(transfer).changed_files(), std::back_inserter(*changed_.lock()));
  }
  return done ? grpc::Status::OK : failed(done.error());
}

void FileSync::remember(const Error& error) {
  if (auto first = error_.lock(); !*first) {
    *first = error;
  }
}

grpc::Status FileSync::failed(const Error& error) {
  if (error.kind == ErrorKind::cancelled) {
    return grpc::Status::CANCELLED;
  }
  remember(error);
  // The daemon repeats it in the build's log.
  return {grpc::StatusCode::INTERNAL, error.customer.empty() ? error.message : error.customer};
}

}  // namespace builder::adapters::buildkit
