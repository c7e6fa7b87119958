#include "adapters/redis/client/connection.hpp"

#include "adapters/redis/client/refusal.hpp"

#include <hiredis/hiredis.h>

#include <array>
#include <cstdlib>
#include <utility>

namespace builder::adapters::redis {

namespace {

constexpr std::chrono::seconds k_send_patience{5};
constexpr std::size_t k_read_size = 16 * 1024;

struct ReplyDeleter {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

Reply convert(const redisReply& reply) {
  Reply out;
  switch (reply.type) {
    case REDIS_REPLY_INTEGER:
      out.type = Reply::Type::integer;
      out.integer = reply.integer;
      break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      out.type = Reply::Type::text;
      out.text.assign(reply.str, reply.len);
      break;
    case REDIS_REPLY_ARRAY:
      out.type = Reply::Type::list;
      for (std::size_t i = 0; i < reply.elements; ++i) {
        out.list.push_back(convert(*reply.element[i]));
      }
      break;
    default:
      break;
  }
  return out;
}

std::string format(const std::vector<std::string>& command) {
  std::string out = "*" + std::to_string(command.size()) + "\r\n";
  for (const std::string& word : command) {
    out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return out;
}

}  // namespace

void Connection::ReaderDeleter::operator()(redisReader* reader) const {
  redisReaderFree(reader);
}

Connection::Connection() : reader_(redisReaderCreate()) {
}

Connection::~Connection() = default;

Result<RedisAddress> Connection::ask_sentinels(const RedisConfig& config,
                                               const std::stop_token& stop) {
  Error problem{.kind = ErrorKind::unavailable, .message = "no sentinel answers"};
  for (const RedisAddress& sentinel : config.sentinel.addresses) {
    Connection connection;
    const std::string name = "sentinel " + sentinel.str();
    auto transport = Transport::dial(sentinel, config.tls, stop);
    if (!transport) {
      problem = std::move(transport).error().with_context(name);
      continue;
    }
    connection.transport_ = *std::move(transport);
    auto asked = connection.log_in("", config.sentinel.password, stop);
    auto answer = asked ? connection.call(
                              {"SENTINEL", "get-master-addr-by-name", config.sentinel.master}, stop)
                        : std::unexpected(asked.error());
    if (!answer) {
      problem = std::move(answer).error().with_context(name);
    } else if (answer->list.size() == 2) {
      return RedisAddress{
          .host = answer->list[0].text,
          .port = static_cast<std::uint16_t>(std::atoi(answer->list[1].text.c_str()))};
    } else {
      problem.message =
          name + " knows no master named " + config.sentinel.master + " (REDIS_SENTINEL_MASTER)";
    }
  }
  return std::unexpected(std::move(problem));
}

Result<> Connection::log_in(const std::string& username, const Secret& password,
                            const std::stop_token& stop) {
  if (password.empty()) {
    return {};
  }
  std::vector<std::string> auth{"AUTH"};
  if (!username.empty()) {
    auth.push_back(username);
  }
  auth.push_back(password.reveal());
  BUILDER_TRY(call(auth, stop));
  return {};
}

Result<std::unique_ptr<Connection>> Connection::open(const RedisConfig& config,
                                                     const std::string& name,
                                                     const std::stop_token& stop) {
  std::unique_ptr<Connection> connection(new Connection());
  if (auto done = connection->connect(config, name, stop); !done) {
    return std::unexpected(std::move(done).error().with_context(
        "Redis" + (connection->address_.empty() ? "" : " at " + connection->address_) + " (" +
        std::string(config.settings()) + ")"));
  }
  return connection;
}

Result<> Connection::connect(const RedisConfig& config, const std::string& name,
                             const std::stop_token& stop) {
  const bool sentinels = !config.sentinel.addresses.empty();
  if (!config.socket.empty()) {
    address_ = config.socket;
    BUILDER_TRY_ASSIGN(transport_, Transport::dial_socket(config.socket, stop));
  } else {
    RedisAddress address = config.address;
    if (sentinels) {
      BUILDER_TRY_ASSIGN(address, ask_sentinels(config, stop));
    }
    address_ = address.str();
    BUILDER_TRY_ASSIGN(transport_, Transport::dial(address, config.tls, stop));
  }
  BUILDER_TRY(log_in(config.username, config.password, stop));
  if (config.database != 0) {
    BUILDER_TRY(call({"SELECT", std::to_string(config.database)}, stop));
  }
  if (sentinels) {
    // A sentinel may not have noticed yet that another one is the master now.
    const auto role = call({"ROLE"}, stop);
    if (role && !role->list.empty() && role->list[0].text != "master") {
      return failure(ErrorKind::unavailable, "what the sentinel named is no master");
    }
  }
  // Only so that an operator sees who is connected.
  if (const auto named = call({"CLIENT", "SETNAME", name}, stop); !named && !usable()) {
    return std::unexpected(named.error());
  }
  return {};
}

Result<> Connection::send(const std::vector<std::string>& command, const std::stop_token& stop) {
  if (!transport_) {
    return failure(ErrorKind::unavailable, "not connected to Redis");
  }
  auto sent =
      transport_->write(format(command), stop, std::chrono::steady_clock::now() + k_send_patience);
  if (!sent) {
    transport_.reset();  // Half a command is there.
  }
  return sent;
}

Result<Reply> Connection::receive(const std::stop_token& stop, SteadyTime deadline) {
  for (;;) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) {
      transport_.reset();
      return failure(ErrorKind::unavailable,
                     std::string("what answers is no Redis: ") + reader_->errstr);
    }
    if (raw != nullptr) {
      const std::unique_ptr<redisReply, ReplyDeleter> reply(static_cast<redisReply*>(raw));
      if (reply->type == REDIS_REPLY_ERROR) {
        const std::string text(reply->str, reply->len);
        const Refusal refusal = read_refusal(text);
        if (refusal.changed_role) {
          transport_.reset();
        }
        return failure(refusal.kind, "redis refuses a command: " + text);
      }
      return convert(*reply);
    }
    if (!transport_) {
      return failure(ErrorKind::unavailable, "not connected to Redis");
    }
    std::array<char, k_read_size> buffer{};
    auto count = transport_->read(buffer, stop, deadline);
    if (!count) {
      if (count.error().kind == ErrorKind::unavailable) {
        transport_.reset();
      }
      return std::unexpected(std::move(count).error());
    }
    if (redisReaderFeed(reader_.get(), buffer.data(), *count) != REDIS_OK) {
      transport_.reset();
      return failure(ErrorKind::unavailable, "Redis's answer: out of memory");
    }
  }
}

Result<Reply> Connection::call(const std::vector<std::string>& command, const std::stop_token& stop,
                               std::chrono::milliseconds patience) {
  BUILDER_TRY(send(command, stop));
  auto reply = receive(stop, std::chrono::steady_clock::now() + patience);
  if (!reply &&
      (reply.error().kind == ErrorKind::timed_out || reply.error().kind == ErrorKind::cancelled)) {
    transport_.reset();  // Its answer may still come: nobody may take it for another one.
  }
  if (!reply && reply.error().message.starts_with("redis refuses a command")) {
    reply.error().message.replace(0, std::string_view("redis refuses a command").size(),
                                  "redis refuses " + command.front());
  }
  return reply;
}

}  // namespace builder::adapters::redis
