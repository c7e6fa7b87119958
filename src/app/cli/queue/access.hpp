#pragma once

#include "app/cli/command_line.hpp"
#include "ports/queue_admin.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

/// What the verbs about the queue have in common.
namespace builder::app::cli {

/// What such a verb has at hand.
struct QueueAccess {
  ports::QueueAdmin& queue;
  const std::string& github_url;
  std::stop_token stop;  ///< Ctrl+C.
};

/// Reads the settings of Redis, and does something with the queue. The exit code of `work`; of a
/// configuration that is wrong, and of Ctrl+C, their own.
Exit with_queue(const std::function<Exit(const QueueAccess&)>& work);

/// Says why, with the setting to look at.
Exit failed(const Error& error);

/// A deployment's id from the command line; says what is wrong with it.
std::optional<domain::DeploymentId> read_id(const std::string& text);

/// `d1`, or `3 deployments`.
std::string counted(std::size_t count, const std::string& one, const std::string& many);

}  // namespace builder::app::cli
