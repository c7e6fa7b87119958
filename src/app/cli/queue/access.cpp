#include "app/cli/queue/access.hpp"

#include "app/cli/settings.hpp"
#include "app/compose/queue_parts.hpp"
#include "app/config/config.hpp"
#include "app/process/interrupt.hpp"
#include "domain/deployment_request.hpp"
#include "domain/operator_line.hpp"

namespace builder::app::cli {

Exit with_queue(const std::function<Exit(const QueueAccess&)>& work) {
  const LoadedConfig loaded = load_config();
  if (const auto errors = loaded.errors_of({Concern::queue}); !errors.empty()) {
    print_errors(errors);
    return Exit::usage;
  }
  const Interrupt interrupt;
  const auto queue = make_queue_admin(loaded.config);
  const Exit done = work({*queue, loaded.config.github_url, interrupt.token()});
  return interrupt.token().stop_requested() ? Exit::aborted : done;
}

Exit failed(const Error& error) {
  if (error.kind != ErrorKind::cancelled) {
    Error told = error;
    if (told.setting.empty()) {
      told.setting = told.message.contains("NOAUTH") || told.message.contains("WRONGPASS")
                         ? "REDIS_PASSWORD"
                     : told.message.contains("WRONGTYPE") ? "REDIS_QUEUE_NAME"
                                                          : "";
    }
    complain(domain::operator_line(told));
  }
  return Exit::failed;
}

std::optional<domain::DeploymentId> read_id(const std::string& text) {
  auto id = domain::parse_deployment_id(text);
  if (!id) {
    complain("this is no id of a deployment: letters, digits, - and _, at most 128");
  }
  return id;
}

std::string counted(std::size_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace builder::app::cli
