#include "adapters/docker/engine.hpp"

#include "adapters/docker/json_lines.hpp"
#include "adapters/docker/push_stream.hpp"
#include "adapters/docker/registry_auth.hpp"
#include "adapters/http/stranger.hpp"
#include "base/json.hpp"
#include "base/wall_clock.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <ctime>

namespace builder::adapters::docker {
namespace {

using nlohmann::json;
using oci::classify_push_error;
using oci::push_error;
using oci::PushFailure;
using oci::PushFault;

constexpr std::chrono::seconds k_call_timeout{60};
constexpr std::size_t k_told_apart = 200;
/// A registry that accepts bytes no more keeps the Engine, and so us, waiting for ever.
constexpr std::chrono::seconds k_push_silence{120};
constexpr std::chrono::seconds k_pull_silence{120};

ErrorKind kind_of(int status) {
  switch (status) {
    case 400:
      return ErrorKind::invalid_input;
    case 401:
    case 403:
      return ErrorKind::denied;
    case 404:
      return ErrorKind::not_found;
    case 409:
      return ErrorKind::conflict;
    default:
      return status >= 500 ? ErrorKind::unavailable : ErrorKind::internal;
  }
}

/// The Engine's own words for an error, which it always has.
std::optional<std::string> words_of(const http::Response& response) {
  const auto body = parse_json(response.body);
  if (body.is_object()) {
    const auto message = body.find("message");
    if (message != body.end() && message->is_string()) {
      return message->get<std::string>();
    }
  }
  return std::nullopt;
}

std::string of_stranger(const http::Response& response) {
  return "something that is not the Docker Engine answered (DOCKER_HOST): " +
         http::describe(response);
}

std::vector<std::string> strings_of(const json& object, const char* name) {
  std::vector<std::string> values;
  const auto field = object.find(name);
  if (field == object.end() || !field->is_array()) {
    return values;
  }
  for (const auto& value : *field) {
    // Images without a name are listed as "<none>:<none>".
    if (value.is_string() && !value.get<std::string>().starts_with("<none>") &&
        !value.get<std::string>().ends_with("<none>")) {
      values.push_back(value.get<std::string>());
    }
  }
  return values;
}

/// "2026-11-24T11:12:18.923171258Z"; the zero time of Go is nullopt.
std::optional<std::chrono::system_clock::time_point> parse_go_time(const std::string& text) {
  std::tm parts{};
  const char* const rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) {
    return std::nullopt;
  }
  // The Engine writes its own zone: "…Z" or "…+02:00".
  const std::string_view zone(rest);
  std::time_t seconds = ::timegm(&parts);
  if (const auto sign = zone.find_last_of("+-");
      sign != std::string_view::npos && zone.size() >= sign + 6) {
    const auto digit = [&](std::size_t i) { return zone[sign + i] - '0'; };
    const int minutes = (digit(1) * 10 + digit(2)) * 60 + digit(4) * 10 + digit(5);
    seconds -= (zone[sign] == '-' ? -60 : 60) * minutes;
  }
  return wall_clock(seconds);
}

/// "Docker/20.10.24+dfsg1 (linux)" -> "20.10.24+dfsg1"; empty for other servers.
std::string version_in(std::string_view server) {
  constexpr std::string_view k_name = "Docker/";
  if (!server.starts_with(k_name)) {
    return {};
  }
  server.remove_prefix(k_name.size());
  return std::string(server.substr(0, server.find(' ')));
}

class HttpEngine final : public Engine {
 public:
  HttpEngine(EngineAddress address, http::Client& client)
      : address_(std::move(address)), client_(client) {}

  Result<EngineVersion> version(const std::stop_token& stop) override {
    // Not /version: it starts two programs, and this is asked every few seconds.
    auto request = make_request(http::Method::get, "/_ping");
    request.timeout = std::chrono::seconds(5);
    BUILDER_TRY_ASSIGN(const http::Response answer, send(request, stop));
    if (http::is_page(answer)) {
      return std::unexpected(stranger(answer));
    }
    const std::string_view server = answer.header("Server").value_or("");
    return EngineVersion{.server = std::string(server),
                         .version = version_in(server),
                         .api_version = std::string(answer.header("Api-Version").value_or(""))};
  }

  Result<std::string> runc_version(const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(const http::Response answer,
                       send(make_request(http::Method::get, "/version"), stop));
    const auto body = parse_json(answer.body);
    if (!body.is_object() || !body.contains("Components") || !body["Components"].is_array()) {
      return std::string();
    }
    for (const auto& component : body["Components"]) {
      if (component.is_object() && text_of(component, "Name") == "runc") {
        return text_of(component, "Version");
      }
    }
    return std::string();
  }

  Result<std::string> data_folder(const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(const http::Response answer,
                       send(make_request(http::Method::get, "/info"), stop));
    const auto body = parse_json(answer.body);
    std::string folder = body.is_object() ? text_of(body, "DockerRootDir") : std::string();
    if (folder.empty()) {
      return failure(ErrorKind::unavailable, "the Engine does not say where its data are");
    }
    return folder;
  }

  std::expected<PushedImage, PushFailure> push(const std::string& repository,
                                               const std::string& tag,
                                               const ports::SharedLogin& login,
                                               const std::stop_token& stop, SteadyTime deadline,
                                               const OnProgress& on_progress) override {
    PushStream stream;
    http::Response begun;  // Enough of the answer to tell a stranger's.
    JsonLines lines([&stream](std::string_view line) { stream.take(line); });
    // Without `tag` the Engine pushes every local tag of the name.
    auto request = make_request(http::Method::post,
                                "/images/" + encoded(repository) + "/push?tag=" + encoded(tag));
    request.headers.push_back(auth_header(login));
    request.timeout = std::chrono::milliseconds(0);
    request.idle_timeout = k_push_silence;
    request.on_body = [&](std::string_view chunk) {
      lines.feed(chunk);
      begun.body.append(chunk.substr(0, k_told_apart - std::min(k_told_apart, begun.body.size())));
      on_progress(stream.bytes());
      return true;
    };
    auto response = client_.send(request, stop, deadline);
    lines.finish();
    const std::string what = fmt::format("pushing {}:{}", repository, tag);
    if (!response) {
      return std::unexpected(lost(std::move(response).error().with_context(what)));
    }
    if (!response->ok()) {
      return std::unexpected(refused(*response, what));
    }
    if (stream.succeeded()) {
      return PushedImage{.digest = stream.digest(), .bytes_pushed = stream.bytes().sent};
    }
    if (stream.error().empty()) {
      begun.status = response->status;
      begun.headers = response->headers;
      if (http::is_page(begun)) {
        return std::unexpected(strangers(begun, what));
      }
      // Said in full, or the connection would have broken: it would be said again.
      constexpr std::string_view k_no_end = "the Engine's answer ended without a digest";
      return std::unexpected(PushFailure{
          .fault = PushFault::other,
          .error = push_error(PushFault::other, fmt::format("{}: {}", what, k_no_end))});
    }
    const PushFault fault = classify_push_error(stream.error());
    return std::unexpected(PushFailure{
        .fault = fault, .error = push_error(fault, fmt::format("{}: {}", what, stream.error()))});
  }

  Result<std::vector<ImageSummary>> images_of(const std::string& repository,
                                              const std::stop_token& stop) override {
    const json filters{{"reference", json::array({repository})}};
    const auto request = make_request(
        http::Method::get, "/images/json?filters=" + http::percent_encode(filters.dump()));
    BUILDER_TRY_ASSIGN(const json answer, call(request, stop));
    std::vector<ImageSummary> images;
    if (!answer.is_array()) {
      return failure(ErrorKind::internal, "listing images: the Engine's answer is no array");
    }
    for (const json& image : answer) {
      if (image.is_object()) {
        images.push_back({.id = text_of(image, "Id"),
                          .tags = strings_of(image, "RepoTags"),
                          .digests = strings_of(image, "RepoDigests")});
      }
    }
    return images;
  }

  Result<std::optional<std::chrono::system_clock::time_point>> last_tagged(
      const std::string& image, const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(const json answer, describe(image, stop));
    const auto metadata = answer.find("Metadata");
    if (metadata == answer.end() || !metadata->is_object()) {
      return std::nullopt;
    }
    return parse_go_time(text_of(*metadata, "LastTagTime"));
  }

  Result<ImageDetails> inspect(const std::string& image, const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(const json answer, describe(image, stop));
    const auto size = answer.find("Size");
    return ImageDetails{.id = text_of(answer, "Id"),
                        .architecture = text_of(answer, "Architecture"),
                        .size = size != answer.end() && size->is_number_unsigned()
                                    ? size->get<std::uint64_t>()
                                    : 0};
  }

  Result<> pull(const std::string& image, const ports::SharedLogin& login,
                const std::stop_token& stop) override {
    // Without a tag or a digest the Engine would get all tags of the name.
    auto request = make_request(http::Method::post, "/images/create?fromImage=" + encoded(image));
    request.headers.push_back(auth_header(login));
    request.idle_timeout = k_pull_silence;
    return follow(std::move(request), "the Docker Engine did not get " + image, stop);
  }

  Result<> load(int fd, std::uint64_t size, const std::stop_token& stop) override {
    auto request = make_request(http::Method::post, "/images/load?quiet=1");
    request.headers.push_back({.name = "Content-Type", .value = "application/x-tar"});
    std::optional<Error> unreadable;
    off_t at = 0;
    request.body_size = size;
    request.body_source = [&](std::span<char> buffer) -> std::optional<std::size_t> {
      const ssize_t count = ::pread(fd, buffer.data(), buffer.size(), at);
      if (count < 0) {
        unreadable = errno_failure("read the image's archive").error();
        return std::nullopt;
      }
      at += count;
      return static_cast<std::size_t>(count);
    };
    auto taken = follow(std::move(request), "the Docker Engine did not take the image", stop);
    return unreadable ? std::unexpected(*std::move(unreadable)) : std::move(taken);
  }

  Result<> save(const std::vector<std::string>& images, ports::ByteSink& sink,
                const std::stop_token& stop) override {
    std::string path = "/images/get";
    for (const std::string& image : images) {
      path += (path.contains('?') ? "&names=" : "?names=") + encoded(image);
    }
    auto request = make_request(http::Method::get, path);
    request.timeout = std::chrono::milliseconds(0);
    Result<> written = sink.begin();
    request.on_body = [&](std::string_view chunk) {
      written = sink.write(chunk);
      return written.has_value();
    };
    BUILDER_TRY(written);
    const auto sent = send(request, stop);
    BUILDER_TRY(written);
    return sent ? Result<>() : std::unexpected(sent.error());
  }

  Result<> remove(const std::string& image, const std::stop_token& stop) override {
    BUILDER_TRY(call(make_request(http::Method::delete_, "/images/" + encoded(image)), stop));
    return {};
  }

 private:
  static http::Header auth_header(const ports::SharedLogin& login) {
    return {
        .name = "X-Registry-Auth",
        .value = registry_auth_header(login == nullptr ? ports::RegistryLogin() : *login).reveal()};
  }

  /// Sends what the Engine answers with lines as it goes on: its errors come in them, under a 200.
  Result<> follow(http::Request request, const std::string& fault, const std::stop_token& stop) {
    std::string refusal;
    JsonLines lines([&refusal](std::string_view line) {
      const auto object = parse_json(line);
      if (object.is_object() && object.contains("error")) {
        refusal = text_of(object, "error");
      }
    });
    request.timeout = std::chrono::milliseconds(0);
    request.on_body = [&lines](std::string_view chunk) {
      lines.feed(chunk);
      return true;
    };
    const auto sent = send(request, stop);
    lines.finish();
    if (sent && !refusal.empty()) {
      return failure(ErrorKind::unavailable, fault + ": " + refusal);
    }
    return sent ? Result<>() : std::unexpected(sent.error());
  }

  Result<json> describe(const std::string& image, const std::stop_token& stop) {
    return call(make_request(http::Method::get, "/images/" + encoded(image) + "/json"), stop);
  }

  static std::string encoded(const std::string& name) { return http::percent_encode(name, "/:@"); }

  [[nodiscard]] http::Request make_request(http::Method method, const std::string& path) const {
    return {.method = method,
            .url = "http://" + (address_.is_socket() ? "docker" : address_.authority()) + path,
            .unix_socket = address_.socket,
            .headers = {},
            .timeout = k_call_timeout,
            .max_body = 32U << 20U,
            .direct = true};
  }

  Result<http::Response> send(const http::Request& request, const std::stop_token& stop) {
    auto response = client_.send(request, stop, SteadyTime::max());
    if (!response) {
      return std::unexpected(std::move(response).error().with_context("the Docker Engine"));
    }
    if (response->ok()) {
      return response;
    }
    const auto words = words_of(*response);
    if (!words) {
      return std::unexpected(stranger(*response));
    }
    return failure(
        kind_of(response->status),
        fmt::format("the Docker Engine answered {} to {} {}: {}", response->status,
                    http::to_string(request.method), http::without_secrets(request.url), *words));
  }

  static Error stranger(const http::Response& response) {
    return Error{.kind = ErrorKind::unavailable, .message = of_stranger(response)}.for_operator(
        "DOCKER_HOST");
  }

  Result<json> call(const http::Request& request, const std::stop_token& stop) {
    BUILDER_TRY_ASSIGN(const http::Response response, send(request, stop));
    auto body = parse_json(response.body.empty() ? "{}" : response.body);
    if (body.is_discarded()) {
      return std::unexpected(stranger(response));
    }
    return body;
  }

  /// The connection to the Engine failed, or the registry behind it went silent.
  static PushFailure lost(Error error) {
    PushFailure result{.fault = PushFault::engine, .error = std::move(error)};
    if (result.error.kind == ErrorKind::timed_out) {
      result.fault = PushFault::registry_away;
      result.error.customer = push_error(result.fault, "").customer;
    } else if (result.error.kind == ErrorKind::unavailable) {
      result.error.customer = push_error(result.fault, "").customer;
    } else {
      result.fault = PushFault::other;
    }
    return result;
  }

  static PushFailure strangers(const http::Response& response, const std::string& what) {
    return {.fault = PushFault::engine,
            .error = push_error(PushFault::engine, what + ": " + of_stranger(response))};
  }

  static PushFailure refused(const http::Response& response, const std::string& what) {
    const auto words = words_of(response);
    if (!words) {
      return strangers(response, what);
    }
    const std::string& message = *words;
    PushFault fault = classify_push_error(message);
    if (fault == PushFault::other) {
      fault = response.status == 404   ? PushFault::image_missing
              : response.status >= 500 ? PushFault::engine
                                       : PushFault::other;
    }
    return {.fault = fault,
            .error = push_error(fault, fmt::format("{}: the Engine answered {}: {}", what,
                                                   response.status, message))};
  }

  EngineAddress address_;
  http::Client& client_;
};

}  // namespace

std::unique_ptr<Engine> make_engine(EngineAddress address, http::Client& client) {
  return std::make_unique<HttpEngine>(std::move(address), client);
}

}  // namespace builder::adapters::docker
