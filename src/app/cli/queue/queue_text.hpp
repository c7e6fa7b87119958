#pragma once

#include "app/cli/terminal.hpp"
#include "ports/queue_admin.hpp"

#include <chrono>
#include <string>
#include <vector>

/// The queue in words for a person. What comes from jobs is shown on one line, without control
/// characters, and cut.
namespace builder::app::cli {

/// 34s, 2m10s, 3h05m, 2d4h.
std::string short_age(std::chrono::milliseconds age);

/// 2026-11-29 17:20:01 UTC
std::string clock_time(ports::QueueTime time);

/// `host:pid`, or where the worker says nothing of itself its lease.
std::string name_of(const ports::QueueWorker& worker);

std::string queue_text(const Terminal& terminal, const ports::QueueLook& look);
std::string workers_text(const Terminal& terminal, const ports::QueueLook& look);
std::string dead_text(const Terminal& terminal, const std::vector<ports::DeadLetter>& letters);

/// running, queued, set aside, ended (not delivered), ended, cancelled, dropped, unknown.
std::string state_of(const ports::DeploymentLook& look);
std::string deployment_text(const Terminal& terminal, const std::string& deployment,
                            const ports::DeploymentLook& look);

}  // namespace builder::app::cli
