#include "adapters/redis/client/script_runner.hpp"

#include <openssl/evp.h>

#include <array>
#include <utility>

namespace builder::adapters::redis {

std::string sha1_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  constexpr std::string_view k_digits = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += k_digits[digest[i] >> 4u];
    hex += k_digits[digest[i] & 15u];
  }
  return hex;
}

std::string own_key(const std::string& queue, std::string_view suffix) {
  const std::size_t open = queue.find('{');
  const bool tagged = open != std::string::npos && queue.find('}', open) > open + 1 &&
                      queue.find('}', open) != std::string::npos;
  return (tagged ? queue : "{" + queue + "}") + ":" + std::string(suffix);
}

std::vector<std::string> script_keys(const std::string& queue) {
  std::vector<std::string> keys{queue};
  for (const char* suffix :
       {"workers", "own", "pay", "att", "svc", "wait", "newer", "tomb", "fin", "seen", "out",
        "dead", "stage", "times", "unused", "about", "pause", "whose", "turn"}) {
    keys.push_back(own_key(queue, suffix));
  }
  return keys;
}

bool is_no_command(const Error& error) {
  return error.message.contains("unknown command") || error.message.contains("NOPERM") ||
         error.message.contains("can't run this command");
}

Result<> may_run_scripts(Connection& connection, const std::stop_token& stop) {
  auto ran = connection.call({"EVAL", "return 1", "0"}, stop);
  if (ran) {
    ran = connection.call({"EVALSHA", std::string(40, '0'), "0"}, stop);
  }
  if (ran || ran.error().kind == ErrorKind::not_found || ran.error().message.contains("OOM")) {
    return {};
  }
  if (is_no_command(ran.error())) {
    return failure(ErrorKind::denied,
                   ran.error().message + " (jobs are taken by scripts: allow EVAL and EVALSHA)");
  }
  return std::unexpected(std::move(ran).error());
}

Script::Script(std::string_view text, const std::string& queue, std::vector<std::string> more_keys)
    : text_(text), digest_(sha1_hex(text)), keys_(script_keys(queue)) {
  for (std::string& key : more_keys) {
    keys_.push_back(std::move(key));
  }
}

Result<Reply> Script::run(Connection& connection, const std::vector<std::string>& arguments,
                          const std::stop_token& stop, std::chrono::milliseconds patience) const {
  std::vector<std::string> command{"EVALSHA", digest_, std::to_string(keys_.size())};
  command.insert(command.end(), keys_.begin(), keys_.end());
  command.insert(command.end(), arguments.begin(), arguments.end());
  auto reply = connection.call(command, stop, patience);
  if (!reply && reply.error().kind == ErrorKind::not_found) {
    command[0] = "EVAL";
    command[1] = text_;
    reply = connection.call(command, stop, patience);
  }
  return reply;
}

}  // namespace builder::adapters::redis
