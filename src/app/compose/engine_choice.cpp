#include "app/compose/engine_choice.hpp"

#include "base/fd.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

namespace builder::app {

namespace {

struct Place {
  std::string_view setting;
  std::string path;
};

std::vector<Place> usual_places(const EnvironmentLookup& environment) {
  const std::string runtime = environment("XDG_RUNTIME_DIR").value_or("");
  std::vector<Place> places{{"DOCKER_HOST", "/var/run/docker.sock"}};
  if (!runtime.empty()) {
    places.push_back({"DOCKER_HOST", runtime + "/docker.sock"});
  }
  places.push_back({"BUILDKIT_HOST", "/run/buildkit/buildkitd.sock"});
  if (!runtime.empty()) {
    places.push_back({"BUILDKIT_HOST", runtime + "/buildkit/buildkitd.sock"});
  }
  return places;
}

/// `podman-docker` puts a link to Podman's socket where Docker's would be.
bool is_podmans(const std::string& path) {
  std::error_code error;
  return std::filesystem::canonical(path, error).string().contains("podman");
}

/// The first Docker Engine in a usual place; empty: none answers.
std::string usual_docker(const EnvironmentLookup& environment) {
  for (const Place& place : usual_places(environment)) {
    if (place.setting == "DOCKER_HOST" && connect_error(place.path) == 0 &&
        !is_podmans(place.path)) {
      return "unix://" + place.path;
    }
  }
  return {};
}

std::string engine_named(std::string_view setting) {
  return setting == "DOCKER_HOST" ? "the Docker Engine" : "BuildKit";
}

}  // namespace

int connect_error(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return ENAMETOOLONG;
  }
  std::ranges::copy(path, std::begin(address.sun_path));
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                     0 ||
                 errno == EAGAIN
             ? 0
             : errno;
}

Result<EngineChoice> choose_engine(const EnvironmentLookup& environment) {
  const std::string docker = environment("DOCKER_HOST").value_or("");
  for (const std::string_view setting : {"BUILDKIT_HOST", "DOCKER_HOST"}) {
    if (std::string address = environment(setting).value_or(""); !address.empty()) {
      std::string reason =
          fmt::format("Building with {} at {} ({})", engine_named(setting), address, setting);
      return EngineChoice{.setting = std::string(setting),
                          .address = std::move(address),
                          .reason = std::move(reason),
                          .keeper = docker.empty() ? usual_docker(environment) : std::string()};
    }
  }
  std::string tried;
  for (const Place& place : usual_places(environment)) {
    const int number = connect_error(place.path);
    const bool podman = number == 0 && is_podmans(place.path);
    if (number == 0 && !podman) {
      return EngineChoice{.setting = std::string(place.setting),
                          .address = "unix://" + place.path,
                          .reason = fmt::format("Building with {} at {}, the first that answers",
                                                engine_named(place.setting), place.path)};
    }
    tried += fmt::format("{}{}: {}", tried.empty() ? "" : "; ", place.path,
                         podman ? "Podman, which takes no builds of BuildKit"
                                : std::generic_category().message(number));
  }
  return failure(ErrorKind::not_found,
                 fmt::format("no engine to build with: start Docker or buildkitd, or set "
                             "DOCKER_HOST or BUILDKIT_HOST ({})",
                             tried));
}

}  // namespace builder::app
