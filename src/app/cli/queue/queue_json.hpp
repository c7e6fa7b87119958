#pragma once

#include "ports/queue_admin.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

/// The queue for programs. docs/cli.md has the fields.
namespace builder::app::cli {

using Json = nlohmann::ordered_json;

Json queue_json(const ports::QueueLook& look);
Json workers_json(const ports::QueueLook& look);
Json dead_json(const std::vector<ports::DeadLetter>& letters);
Json deployment_json(const std::string& deployment, const ports::DeploymentLook& look);

/// As text; what is no UTF-8 becomes U+FFFD. `indent` -1: one line.
std::string dumped(const Json& json, int indent = 2);

}  // namespace builder::app::cli
