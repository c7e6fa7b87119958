#include "adapters/buildkit/client/image_command.hpp"

#include "base/text.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

constexpr std::int64_t k_none = -1;
constexpr const char* k_custom_name = "llb.customname";

std::string marshalled(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  return bytes;
}

void set_platform(pb::Op& op, std::string_view platform) {
  if (platform.empty()) {
    return;
  }
  const auto next = [&platform] {
    const std::string_view part = platform.substr(0, platform.find('/'));
    platform.remove_prefix(std::min(platform.size(), part.size() + 1));
    return std::string(part);
  };
  op.mutable_platform()->set_os(next());
  op.mutable_platform()->set_architecture(next());
  op.mutable_platform()->set_variant(next());
}

/// As the limits know a step of a Dockerfile: `[name] RUN command`.
std::string step_name(const ImageCommand& command) {
  std::string name = "[" + command.name + "] RUN";
  for (const std::string& argument : command.arguments) {
    name += " " + argument;
  }
  return printable_line(name);
}

void set_limits(pb::OpMetadata& metadata, const std::map<std::string, std::string>& attributes) {
  const auto number = [&attributes](const char* name) {
    std::int64_t value = 0;
    if (const auto found = attributes.find(name); found != attributes.end()) {
      const std::string& text = found->second;
      std::from_chars(text.data(), text.data() + text.size(), value);
    }
    return value;
  };
  pb::LinuxResources limits;
  limits.set_memory(number("memory"));
  limits.set_memory_swap(number("memswap"));
  limits.set_cpu_period(static_cast<std::uint64_t>(number("cpuperiod")));
  limits.set_cpu_quota(number("cpuquota"));
  if (limits.ByteSizeLong() > 0) {
    *metadata.mutable_linux_resources() = std::move(limits);
  }
}

/// Puts operations together that take something from one another.
class Graph {
 public:
  /// Its digest, by which others name it.
  std::string add(const pb::Op& op, pb::OpMetadata metadata = {}) {
    std::string bytes = marshalled(op);
    std::string digest = "sha256:" + sha256_hex(bytes);
    if (!definition_.metadata().contains(digest)) {
      definition_.add_def(std::move(bytes));
      (*definition_.mutable_metadata())[digest] = std::move(metadata);
    }
    return digest;
  }

  std::string add_image(const PlatformImage& image) {
    pb::Op op;
    op.mutable_source()->set_identifier("docker-image://" + image.reference);
    set_platform(op, image.platform);
    return add(op);
  }

  pb::Definition take() { return std::move(definition_); }

 private:
  pb::Definition definition_;
};

void take_from(pb::Op& op, std::string digest, std::int64_t output) {
  pb::Input& input = *op.add_inputs();
  input.set_digest(std::move(digest));
  input.set_index(output);
}

pb::Mount& add_mount(pb::ExecOp& exec, std::string folder, std::int64_t input,
                     std::int64_t output) {
  pb::Mount& mount = *exec.add_mounts();
  mount.set_dest(std::move(folder));
  mount.set_input(input);
  mount.set_output(output);
  return mount;
}

}  // namespace

pb::Definition definition_of(const ImageCommand& command,
                             const std::map<std::string, std::string>& step_attributes) {
  Graph graph;
  pb::Op op;
  pb::ExecOp& exec = *op.mutable_exec();
  exec.set_network(pb::NONE);
  pb::Meta& meta = *exec.mutable_meta();
  meta.mutable_args()->Assign(command.arguments.begin(), command.arguments.end());
  meta.mutable_env()->Assign(command.environment.begin(), command.environment.end());
  meta.set_cwd(command.folder.empty() ? "/" : command.folder);
  if (const auto parent = step_attributes.find("cgroup-parent"); parent != step_attributes.end()) {
    meta.set_cgroup_parent(parent->second);
  }
  set_platform(op, command.image.platform);
  take_from(op, graph.add_image(command.image), 0);
  add_mount(exec, "/", 0, 0);
  add_mount(exec, "/tmp", k_none, k_none).set_mount_type(pb::TMPFS);
  for (const auto& [folder, image] : command.mounts) {
    take_from(op, graph.add_image(image), 0);
    add_mount(exec, folder, op.inputs_size() - 1, k_none).set_readonly(true);
  }
  constexpr std::int64_t k_result = 1;
  add_mount(exec, command.result, k_none, k_result);

  pb::OpMetadata metadata;
  (*metadata.mutable_description())[k_custom_name] = step_name(command);
  set_limits(metadata, step_attributes);
  pb::Op last;
  take_from(last, graph.add(op, std::move(metadata)), k_result);
  graph.add(last);
  return graph.take();
}

}  // namespace builder::adapters::buildkit
