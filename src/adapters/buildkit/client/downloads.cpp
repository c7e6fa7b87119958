#include "adapters/buildkit/client/downloads.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include "buildkit_control.grpc.pb.h"
#include "containerd_content.grpc.pb.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

namespace wire = moby::buildkit::v1;
namespace content = containerd::services::content::v1;
using nlohmann::json;

constexpr const char* k_type = "in-toto.io/predicate-type";
constexpr std::string_view k_provenance = "https://slsa.dev/provenance/v1";
constexpr std::size_t k_longest_url = 2'048;
constexpr std::chrono::seconds k_forget_limit{2};

/// Without a copy, which `part_of` makes: records are large.
const json& part(const json& value, const char* field) {
  static const json none;
  const auto found = value.find(field);
  return found == value.end() ? none : *found;
}

bool is_http(std::string_view url) {
  return url.starts_with("http://") || url.starts_with("https://");
}

/// Without what may be a secret; nullopt: it is no plain address.
std::optional<std::string> bare_url(std::string_view url) {
  const auto host = url.find("://") + 3;
  url = url.substr(0, url.find_first_of("?#"));
  const auto path = std::min(url.find('/', host), url.size());
  const auto user = url.substr(0, path).rfind('@');
  const auto begin = user == std::string_view::npos ? host : std::max(user + 1, host);
  const bool is_plain = std::ranges::all_of(
      url, [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '<' && c != '>'; });
  if (begin >= path || url.size() > k_longest_url || !is_plain) {
    return std::nullopt;
  }
  return std::string(url.substr(0, host)) + std::string(url.substr(begin));
}

/// Images and git repositories are in the list as well; those are known from elsewhere.
void read_dependency(const json& entry, RecordedDownloads& into) {
  const json& digests = part(entry, "digest");
  const std::string uri = text_of(entry, "uri");
  if (!is_http(uri) || digests.contains("sha1")) {
    into.is_whole = into.is_whole && !uri.empty();
    return;
  }
  std::string digest = "sha256:" + text_of(digests, "sha256");
  auto url = bare_url(uri);
  if (!url || !is_digest(digest) || into.files.size() >= k_most_downloads) {
    into.is_whole = false;
    return;
  }
  into.files.insert({.url = *std::move(url), .digest = std::move(digest)});
}

void set_deadline(grpc::ClientContext& context, SteadyTime deadline) {
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(
                           deadline - std::chrono::steady_clock::now()));
}

/// One call of the daemon, which ends at a stop and at the deadline.
class ControlCall {
 public:
  explicit ControlCall(const ports::JobContext& job)
      : cancel_(job.stop, [this] { context.TryCancel(); }) {
    set_deadline(context, job.deadline);
  }

  grpc::ClientContext context;

 private:
  std::stop_callback<std::function<void()>> cancel_;
};

Error refused(const grpc::Status& status) {
  return {.kind = ErrorKind::unavailable, .message = status.error_message()};
}

/// Digests of the provenance of a solve, one for each platform.
Result<std::vector<std::string>> find_records(const ports::JobContext& job,
                                              const std::shared_ptr<grpc::Channel>& channel,
                                              const std::string& ref) {
  wire::BuildHistoryRequest request;
  request.set_ref(ref);
  request.set_early_exit(true);
  ControlCall call(job);
  const auto events = wire::Control::NewStub(channel)->ListenBuildHistory(&call.context, request);
  std::vector<std::string> records;
  const auto add = [&records](const wire::BuildResultInfo& result) {
    for (const wire::Descriptor& one : result.attestations()) {
      const auto type = one.annotations().find(k_type);
      if (type != one.annotations().end() && type->second == k_provenance) {
        records.push_back(one.digest());
      }
    }
  };
  for (wire::BuildHistoryEvent event; events->Read(&event);) {
    if (event.type() == wire::BuildHistoryEvent::COMPLETE && event.record().ref() == ref) {
      records.clear();  // It is told again when it changes.
      add(event.record().result());
      for (const auto& [platform, result] : event.record().results()) {
        add(result);
      }
    }
  }
  if (const grpc::Status status = events->Finish(); !status.ok()) {
    return std::unexpected(refused(status));
  }
  if (records.empty()) {
    return failure(ErrorKind::not_found, "the engine keeps no record of the build ([history])");
  }
  return records;
}

Result<std::string> read_blob(const ports::JobContext& job,
                              const std::shared_ptr<grpc::Channel>& channel,
                              const std::string& digest) {
  content::ReadContentRequest request;
  request.set_digest(digest);
  ControlCall call(job);
  const auto pieces = content::Content::NewStub(channel)->Read(&call.context, request);
  std::string blob;
  for (content::ReadContentResponse piece; pieces->Read(&piece);) {
    blob += piece.data();
    if (blob.size() > k_largest_record) {
      call.context.TryCancel();
      static_cast<void>(pieces->Finish());
      return failure(ErrorKind::invalid_input, "the record of the build is too large");
    }
  }
  if (const grpc::Status status = pieces->Finish(); !status.ok()) {
    return std::unexpected(refused(status));
  }
  return blob;
}

}  // namespace

Result<> read_record(std::string_view predicate, RecordedDownloads& into) {
  const auto record =
      predicate.size() > k_largest_record ? json(json::value_t::discarded) : parse_json(predicate);
  const json& definition = part(record, "buildDefinition");
  if (!definition.is_object()) {
    return failure(ErrorKind::invalid_input, "the record of the build is no provenance");
  }
  const json& dependencies = part(definition, "resolvedDependencies");
  into.is_whole = into.is_whole && (dependencies.is_array() || dependencies.is_null());
  if (dependencies.is_array()) {
    for (const json& entry : dependencies) {
      read_dependency(entry, into);
    }
  }
  const json& network =
      part(part(part(part(record, "runDetails"), "metadata"), "buildkit_metadata"), "network");
  into.has_proxy = into.has_proxy || text_of(network, "mode") == "proxy";
  const json& incomplete = part(part(network, "proxy"), "incomplete");
  into.is_whole =
      into.is_whole && (incomplete.is_null() || (incomplete.is_array() && incomplete.empty()));
  return {};
}

Result<RecordedDownloads> recorded_downloads(const ports::JobContext& job,
                                             const std::shared_ptr<grpc::Channel>& channel,
                                             const std::string& ref) {
  BUILDER_TRY_ASSIGN(const std::vector<std::string> records, find_records(job, channel, ref));
  RecordedDownloads downloads;
  for (const std::string& digest : records) {
    BUILDER_TRY_ASSIGN(const std::string record, read_blob(job, channel, digest));
    BUILDER_TRY(read_record(record, downloads));
  }
  return downloads;
}

void forget_record(const Log& log, const std::shared_ptr<grpc::Channel>& channel,
                   const std::string& ref) {
  const auto control = wire::Control::NewStub(channel);
  const SteadyTime deadline = std::chrono::steady_clock::now() + k_forget_limit;
  // A stopped solve is recorded behind its end. And BuildKit only hides a record that somebody has
  // asked for, unless somebody still listens: then it goes with the last listener.
  wire::BuildHistoryRequest listen;
  listen.set_ref(ref);
  grpc::ClientContext listening;
  set_deadline(listening, deadline);
  const auto events = control->ListenBuildHistory(&listening, listen);
  wire::BuildHistoryEvent event;
  while (events->Read(&event) && event.type() != wire::BuildHistoryEvent::COMPLETE) {
  }
  wire::UpdateBuildHistoryRequest request;
  request.set_ref(ref);
  request.set_delete_(true);
  grpc::ClientContext context;
  set_deadline(context, deadline + k_forget_limit);
  wire::UpdateBuildHistoryResponse response;
  const grpc::Status status = control->UpdateBuildHistory(&context, request, &response);
  if (!status.ok()) {
    log.debug("the engine's record of the build stays: {}", status.error_message());
  }
  listening.TryCancel();
  static_cast<void>(events->Finish());
}

}  // namespace builder::adapters::buildkit
