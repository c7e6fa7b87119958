#include "adapters/buildkit/diagnosis/engine_words.hpp"

#include "base/ascii.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <initializer_list>
#include <span>

namespace builder::adapters::buildkit {

namespace {

/// A folder of the engine's disk below which the root of a step's file system, or of the context,
/// lies: its name, then how many further parts stand before that root.
struct Root {
  std::string_view mark;
  std::size_t parts;
  bool is_context = false;  ///< Paths are shown relative, as the Dockerfile writes them.
};

constexpr std::array<Root, 10> k_roots{{
    {"/buildkit-mount", 0, true},            // snapshot.LocalMounter, in the temporary folder
    {"/containerd-mount", 0},                // mount.WithTempMount
    {"/cachemounts/buildkit", 0},            // snapshot.LocalMounter of BuildKit 0.2x and later
    {"/executor/", 1},                       // runcexecutor: …/executor/ID/rootfs
    {"/overlay2/", 2},                       // graph driver: …/overlay2/ID/merged
    {"/overlay/", 2},                        // containerd's mounts of an Engine 29
    {"/rootfs/overlayfs/", 1},               // mounts of the containerd image store
    {"/snapshots/snapshots/", 2},            // overlay snapshotter: …/snapshots/N/fs
    {"/io.containerd.runtime.v2.task/", 3},  // shim bundles: NAMESPACE/ID/rootfs
    {"/vfs/dir/", 1},                        // graph driver vfs
}};

/// Folders nothing of a build lies in by itself.
constexpr std::array<std::string_view, 9> k_private_folders{
    "/var/lib/docker/", "/var/lib/containerd/", "/var/lib/buildkit/",
    "/run/docker/",     "/run/containerd/",     "/run/buildkit/",
    "/var/run/docker",  "/image/overlay2/",     "/tmp/GetImageBlob"};

/// BuildKit's ids: 25 characters of base 36.
bool is_id(std::string_view word) {
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  return word.size() == 25 && std::ranges::count_if(word, is_digit) > 1 &&
         std::ranges::all_of(word,
                             [&](unsigned char c) { return is_digit(c) || std::islower(c) != 0; });
}

/// What is left of one absolute path.
std::string shown_path(std::string_view path) {
  for (const Root& root : k_roots) {
    const std::size_t at = path.find(root.mark);
    if (at == std::string_view::npos) {
      continue;
    }
    std::size_t end = at + root.mark.size();
    for (std::size_t parts = root.parts; end < path.size(); ++end) {
      if (path[end] == '/' && parts-- <= 1) {
        break;
      }
    }
    std::string_view rest = path.substr(std::min(end, path.size()));
    if (root.mark == "/executor/" && rest.starts_with("/rootfs")) {
      rest.remove_prefix(7);
    }
    if (root.is_context) {
      return std::string(rest.substr(std::min<std::size_t>(1, rest.size())));
    }
    return rest.empty() ? "/" : std::string(rest);
  }
  const bool is_private = std::ranges::any_of(
      k_private_folders, [path](std::string_view folder) { return path.contains(folder); });
  return is_private ? "(a file of the engine)" : std::string(path);
}

/// Takes "of ref ID::ID" and ids that stand alone out of a line.
std::string without_ids(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \"'"), text.size());
    std::string_view word = text.substr(0, end);
    const std::string_view mark = word.ends_with(':') ? ":" : "";
    word.remove_suffix(mark.size());
    const std::size_t colons = word.find("::");
    const bool is_pair = colons != std::string_view::npos && is_id(word.substr(0, colons)) &&
                         is_id(word.substr(colons + 2));
    if (is_pair || (is_id(word) && !out.ends_with('"'))) {
      for (const std::string_view before : {"of ref ", " "}) {
        if (out.ends_with(before)) {
          out.resize(out.size() - before.size());
          break;
        }
      }
      if (out.ends_with(' ') && !mark.empty()) {
        out.pop_back();
      }
      out += mark;
    } else {
      out.append(word).append(mark);
    }
    if (end < text.size()) {
      out += text[end];
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

bool has_any(std::string_view text, std::span<const std::string_view> marks) {
  return std::ranges::any_of(marks, [text](std::string_view mark) { return text.contains(mark); });
}

// In lower case. Beside each the peer that says so.
constexpr std::array k_engine_faults = std::to_array<std::string_view>({
    // libnetwork of an Engine, for the container of a RUN
    "network bridge not found",
    "failed to create endpoint",
    "failed to set up container networking",
    "failed to add interface",
    "failed to add the host (veth",
    "programming external connectivity",
    "could not find an available, non-overlapping",
    "no available ipv4 addresses",
    "iptables",
    "ip6tables",
    "nftables",
    "network sandbox",
    "error creating network",
    "operation not supported (failed to create",
    // BuildKit's own network providers
    "cni setup error",
    "failed to create network namespace",
    "failed to load cni",
    // runc and the kernel beneath it
    "cgroup",
    "unable to start unit",
    "can't get final child's pid",
    "can't copy bootstrap data to pipe",
    "unable to set init process",
    "error setting oom score",
    "creating new parent process",
    "runc: executable file not found",
    "resource temporarily unavailable",
    "cannot allocate memory",
    "too many open files",
    "device or resource busy",
    // the engine's disk
    "no space left on device",
    "disk quota exceeded",
    "input/output error",
    "structure needs cleaning",
    "stale file handle",
    "read-only file system",
    "transport endpoint is not connected",
    // graph drivers and snapshotters
    "error creating overlay mount",
    "failed to mount",
    "layer does not exist",
    "layer not retained",
    "layer not known",
    "failed to get layer",
    "failed to register layer",
    "error creating aufs mount",
    "failed to stat active key",
    "snapshotter not loaded",
    // stores of containerd and BuildKit
    "database not open",
    "invalid database",
    "lease does not exist",
    "missing descriptor handlers",
    "inconsistent graph state",
    "failed to get state for index",
    "failed to get record",
    "no such plugin",
    // containerd is gone, or the daemon is going
    "dial unix",
    "containerd: ",
    "failed to start shim",
    "failed to create shim",
    "ttrpc: closed",
    "shutting down",
    "daemon is not running",
    "server is not running",
});

constexpr std::array k_network_troubles = std::to_array<std::string_view>({
    "i/o timeout",
    "connection refused",
    "Connection refused",
    "connection reset",
    "no such host",
    "TLS handshake timeout",
    "Temporary failure in name resolution",
    "server misbehaving",
    "network is unreachable",
    "no route to host",
    "toomanyrequests",
    "Too Many Requests",
    "unexpected EOF",
    "context deadline exceeded",
    "Client.Timeout exceeded",
    ": 500 ",
    ": 502 ",
    ": 503 ",
    ": 504 ",
    "Internal Server Error",
    "Bad Gateway",
    "Service Unavailable",
    "Gateway Timeout",
    // git, of an ADD from a repository
    "Failed to connect to",
    "Could not resolve host",
    "Connection timed out",
    "early EOF",
});

}  // namespace

std::string without_engine_paths(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t begin = std::min(text.find('/'), text.size());
    const bool is_start =
        begin == 0 || std::string_view(" \t\n\"'=(`[{<,;").contains(text[begin - 1]);
    if (!is_start || begin == text.size()) {
      out += text.substr(0, std::min(begin + 1, text.size()));
      text.remove_prefix(std::min(begin + 1, text.size()));
      continue;
    }
    out += text.substr(0, begin);
    text.remove_prefix(begin);
    const std::size_t end = std::min(text.find_first_of(" \t\n\"'`"), text.size());
    std::string_view path = text.substr(0, end);
    const std::string_view tail = path.ends_with(':') ? ":" : path.ends_with(",") ? "," : "";
    path.remove_suffix(tail.size());
    out.append(shown_path(path)).append(tail);
    text.remove_prefix(end);
  }
  return without_ids(out);
}

bool is_engine_fault(std::string_view words) {
  return has_any(lower_case(own_words(words)), k_engine_faults);
}

bool is_runtime_message(std::string_view output) {
  constexpr std::array k_beginnings = std::to_array<std::string_view>(
      {"runc run failed: ", "runc create failed: ", "OCI runtime create failed: ",
       "container_linux.go:", "exec /"});
  return std::ranges::any_of(
      k_beginnings, [output](std::string_view beginning) { return output.starts_with(beginning); });
}

bool is_network_trouble(std::string_view text) {
  return has_any(text, k_network_troubles);
}

std::string own_words(std::string_view text) {
  std::string out;
  bool quoted = false;
  bool in_path = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') {
      ++i;  // A quote that is escaped ends nothing.
      continue;
    }
    if (c == '"') {
      quoted = !quoted;
      continue;
    }
    in_path = c != ' ' && (in_path || (c == '/' && (out.empty() || out.back() == ' ')));
    if (!quoted && !in_path) {
      out += c;
    }
  }
  return out;
}

std::string_view cause_of(std::string_view text) {
  // BuildKit 0.9 and later: process "COMMAND" did not complete successfully: CAUSE
  constexpr std::string_view k_process = "did not complete successfully: ";
  if (const std::size_t at = text.rfind(k_process); at != std::string_view::npos) {
    return text.substr(at + k_process.size());
  }
  // Before: executor failed running [COMMAND]: CAUSE. A command may hold the mark as well; of an
  // exit code the last one is it.
  constexpr std::string_view k_executor = "executor failed running [";
  constexpr std::string_view k_end = "]: ";
  if (const std::size_t begin = text.find(k_executor); begin != std::string_view::npos) {
    const std::size_t last = text.rfind(k_end);
    if (last != std::string_view::npos && text.substr(last).starts_with("]: exit code: ")) {
      return text.substr(last + k_end.size());
    }
    if (const std::size_t first = text.find(k_end, begin); first != std::string_view::npos) {
      return text.substr(first + k_end.size());
    }
  }
  return text;
}

}  // namespace builder::adapters::buildkit
