#include "adapters/http/client.hpp"

#include "base/check.hpp"
#include "base/sync.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <tuple>

namespace builder::adapters::http {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// More idle sessions than this are closed; a worker has a handful of threads that post.
constexpr std::size_t k_idle_sessions = 8;

struct FreeEasy {
  void operator()(CURL* easy) const { ::curl_easy_cleanup(easy); }
};

struct FreeMulti {
  void operator()(CURLM* multi) const { ::curl_multi_cleanup(multi); }
};

struct FreeList {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};

using List = std::unique_ptr<curl_slist, FreeList>;

/// A transfer handle with a connection cache of its own, used by one thread at a time.
struct Session {
  // Declared before the easy handle: the multi handle owns the connections and goes last.
  std::unique_ptr<CURLM, FreeMulti> multi{::curl_multi_init()};
  std::unique_ptr<CURL, FreeEasy> easy{::curl_easy_init()};
};

/// What the callbacks of one exchange fill.
struct Exchange {
  const Request& request;
  Response response;
  Clock::time_point last_activity = Clock::now();
  bool headers_ended = false;  ///< libcurl takes a connection that closes among them for their end.
  bool body_too_large = false;
  bool ended_by_receiver = false;
  bool held_back = false;
};

void initialise_curl_once() {
  static const CURLcode code = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  BUILDER_CHECK(code == CURLE_OK);
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  exchange.last_activity = Clock::now();
  std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) {
    // A new status line: what came before belonged to an interim answer.
    exchange.response.headers.clear();
    exchange.headers_ended = false;
    return size * count;
  }
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n' || line.back() == ' ')) {
    line.remove_suffix(1);
  }
  exchange.headers_ended = exchange.headers_ended || line.empty();
  const auto colon = line.find(':');
  if (colon != std::string_view::npos) {
    auto value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    exchange.response.headers.push_back(
        {.name = std::string(line.substr(0, colon)), .value = std::string(value)});
  }
  return size * count;
}

struct BodyReceiver {
  Exchange& exchange;
  CURL* easy;
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& receiver = *static_cast<BodyReceiver*>(user);
  Exchange& exchange = receiver.exchange;
  exchange.last_activity = Clock::now();
  const std::string_view chunk(data, size * count);
  if (exchange.request.on_body) {
    long status = 0;
    ::curl_easy_getinfo(receiver.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status < 300) {
      exchange.ended_by_receiver = !exchange.request.on_body(chunk);
      return exchange.ended_by_receiver ? CURL_WRITEFUNC_ERROR : chunk.size();
    }
  }
  if (exchange.response.body.size() + chunk.size() > exchange.request.max_body) {
    exchange.body_too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  exchange.response.body.append(chunk);
  return chunk.size();
}

std::size_t give_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& exchange = static_cast<BodyReceiver*>(user)->exchange;
  exchange.last_activity = Clock::now();
  return exchange.request.body_source(std::span(data, size * count)).value_or(CURL_READFUNC_ABORT);
}

int ask_to_send(void* user, char*, char*, int, int) {
  auto& exchange = *static_cast<Exchange*>(user);
  exchange.held_back = !exchange.request.may_send();
  return exchange.held_back ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

bool is_sendable(const Header& header) {
  constexpr std::string_view k_breaks("\r\n\0", 3);
  return header.name.find_first_of(k_breaks) == std::string::npos &&
         header.value.find_first_of(k_breaks) == std::string::npos;
}

Result<List> make_header_list(const Request& request) {
  List list;
  const auto append = [&list](const std::string& line) {
    curl_slist* const longer = ::curl_slist_append(list.get(), line.c_str());
    BUILDER_CHECK(longer != nullptr);
    std::ignore = list.release();
    list.reset(longer);
  };
  // Without this libcurl waits up to a second for "100 Continue" before it sends a large body.
  append("Expect:");
  for (const Header& header : request.headers) {
    if (!is_sendable(header)) {
      return failure(ErrorKind::invalid_input,
                     "the value of header " + header.name + " holds a line break");
    }
    // "Name:" would remove a header of libcurl's; "Name;" sends it empty.
    append(header.value.empty() ? header.name + ";" : header.name + ": " + header.value);
  }
  return list;
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  // Fails only for options this libcurl was built without, which is a defect of the build.
  BUILDER_CHECK(::curl_easy_setopt(easy, option, value) == CURLE_OK);
}

void set_method(CURL* easy, const Request& request, BodyReceiver* exchange) {
  if (request.body_source) {
    set(easy, CURLOPT_POST, 1L);
    set(easy, CURLOPT_READFUNCTION, &give_body);
    set(easy, CURLOPT_READDATA, static_cast<void*>(exchange));
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body_size));
    return;
  }
  switch (request.method) {
    case Method::get:
      set(easy, CURLOPT_HTTPGET, 1L);
      return;
    case Method::head:
      set(easy, CURLOPT_NOBODY, 1L);
      return;
    case Method::put:
    case Method::post:
    case Method::delete_:
      break;
  }
  if (request.method != Method::delete_ || !request.body.empty()) {
    set(easy, CURLOPT_POSTFIELDS, request.body.data());
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  if (request.method != Method::post) {
    set(easy, CURLOPT_CUSTOMREQUEST, to_string(request.method).data());
  }
}

void set_options(CURL* easy, const Request& request, const std::string& proxy, curl_slist* headers,
                 curl_slist* pins, BodyReceiver* receiver, char* error_text) {
  ::curl_easy_reset(easy);  // Keeps the connections.
  set(easy, CURLOPT_URL, request.url.c_str());
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_TCP_NODELAY, 1L);
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  // A stop during a slow name look-up must not wait for the resolver's thread.
  set(easy, CURLOPT_QUICK_EXIT, 1L);
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_HTTPHEADER, headers);
  set(easy, CURLOPT_ERRORBUFFER, error_text);
  set(easy, CURLOPT_HEADERFUNCTION, &take_header);
  set(easy, CURLOPT_HEADERDATA, static_cast<void*>(&receiver->exchange));
  set(easy, CURLOPT_WRITEFUNCTION, &take_body);
  set(easy, CURLOPT_WRITEDATA, static_cast<void*>(receiver));
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
  if (!request.unix_socket.empty()) {
    set(easy, CURLOPT_UNIX_SOCKET_PATH, request.unix_socket.c_str());
  }
  // Always said: libcurl would read the environment in its own way.
  set(easy, CURLOPT_PROXY, proxy.c_str());
  set(easy, CURLOPT_NOPROXY, "");
  set(easy, CURLOPT_RESOLVE, pins);
  if (request.may_send) {
    set(easy, CURLOPT_PREREQFUNCTION, &ask_to_send);
    set(easy, CURLOPT_PREREQDATA, static_cast<void*>(&receiver->exchange));
  }
  set_method(easy, request, receiver);
}

ErrorKind kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return ErrorKind::timed_out;
    case CURLE_URL_MALFORMAT:
      return ErrorKind::invalid_input;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
      return ErrorKind::internal;
    default:
      // Certificates too: one that is wrong now may be renewed, and nothing may be lost meanwhile.
      // And an answer that is not HTTP, which curl calls an unsupported protocol.
      return ErrorKind::unavailable;
  }
}

/// Takes a handle out of its multi handle however the exchange ends; an unfinished transfer's
/// connection is closed by that.
class Attached {
 public:
  explicit Attached(Session& session) : session_(session) {
    BUILDER_CHECK(::curl_multi_add_handle(session.multi.get(), session.easy.get()) == CURLM_OK);
  }

  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;

  ~Attached() { ::curl_multi_remove_handle(session_.multi.get(), session_.easy.get()); }

 private:
  Session& session_;
};

enum class Ending { finished, cancelled, out_of_time, silent };

struct Outcome {
  Ending ending = Ending::finished;
  CURLcode code = CURLE_OK;
};

Outcome drive(Session& session, const Exchange& exchange, const std::stop_token& stop,
              SteadyTime deadline) {
  const milliseconds idle = exchange.request.idle_timeout;
  CURLM* const multi = session.multi.get();
  const std::stop_callback wake(stop, [multi] { ::curl_multi_wakeup(multi); });
  for (;;) {
    if (stop.stop_requested()) {
      return {.ending = Ending::cancelled};
    }
    int running = 0;
    if (::curl_multi_perform(multi, &running) != CURLM_OK) {
      return {.ending = Ending::finished, .code = CURLE_FAILED_INIT};
    }
    int queued = 0;
    while (const CURLMsg* const message = ::curl_multi_info_read(multi, &queued)) {
      if (message->msg == CURLMSG_DONE) {
        return {.ending = Ending::finished, .code = message->data.result};
      }
    }
    const auto now = Clock::now();
    if (now >= deadline) {
      return {.ending = Ending::out_of_time};
    }
    auto until = deadline;
    if (idle.count() > 0) {
      if (now >= exchange.last_activity + idle) {
        return {.ending = Ending::silent};
      }
      until = std::min(until, exchange.last_activity + idle);
    }
    const auto left = std::chrono::ceil<milliseconds>(until - now);
    const auto wait = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
    ::curl_multi_poll(multi, nullptr, 0, wait, nullptr);
  }
}

class CurlClient final : public Client {
 public:
  explicit CurlClient(Proxies proxies) : proxies_(std::move(proxies)) { initialise_curl_once(); }

  Result<Response> send(const Request& request, const std::stop_token& stop,
                        SteadyTime deadline) override {
    BUILDER_TRY_ASSIGN(const List headers, make_header_list(request));
    const auto now = Clock::now();
    if (request.timeout.count() > 0) {
      deadline = std::min(deadline, now + request.timeout);
    }
    auto session = take_session();
    Exchange exchange{.request = request, .response = {}};
    BodyReceiver receiver{.exchange = exchange, .easy = session->easy.get()};
    std::array<char, CURL_ERROR_SIZE> error_text{};
    const List pins(request.pinned.empty() ? nullptr
                                           : ::curl_slist_append(nullptr, request.pinned.c_str()));
    const bool direct =
        request.direct || !request.unix_socket.empty() || is_of_this_machine(request.url);
    set_options(session->easy.get(), request,
                direct ? std::string() : proxies_.for_url(request.url), headers.get(), pins.get(),
                &receiver, error_text.data());
    Outcome outcome;
    bool reusable = true;
    {
      const Attached attached(*session);
      outcome = drive(*session, exchange, stop, deadline);
      reusable = outcome.code != CURLE_FAILED_INIT;
    }
    auto result = conclude(*session, exchange, outcome, error_text.data());
    if (reusable) {
      give_back(std::move(session));
    }
    return result;
  }

  [[nodiscard]] FailureCounts failures() const override {
    return {.surely_not_sent = not_sent_.load(), .ambiguous = ambiguous_.load()};
  }

 private:
  Result<Response> conclude(const Session& session, Exchange& exchange, const Outcome& outcome,
                            const char* error_text) {
    if (outcome.ending == Ending::finished && outcome.code == CURLE_OK && exchange.headers_ended) {
      long status = 0;
      ::curl_easy_getinfo(session.easy.get(), CURLINFO_RESPONSE_CODE, &status);
      exchange.response.status = static_cast<int>(status);
      return std::move(exchange.response);
    }
    long request_bytes = 0;
    ::curl_easy_getinfo(session.easy.get(), CURLINFO_REQUEST_SIZE, &request_bytes);
    const bool sent = request_bytes > 0;
    if (outcome.ending != Ending::cancelled && !exchange.held_back) {
      (sent ? ambiguous_ : not_sent_).fetch_add(1);
    }
    const auto [kind, reason] = explain(session, exchange, outcome, error_text);
    return std::unexpected(
        Error{.kind = kind,
              .message = fmt::format("{} {}: {} ({})", to_string(exchange.request.method),
                                     without_secrets(exchange.request.url), reason,
                                     sent ? "the request may have arrived" : "nothing was sent"),
              .effect = sent ? Effect::possible : Effect::unreached});
  }

  static std::pair<ErrorKind, std::string> explain(const Session& session, const Exchange& exchange,
                                                   const Outcome& outcome, const char* error_text) {
    switch (outcome.ending) {
      case Ending::cancelled:
        return {ErrorKind::cancelled, "stopped"};
      case Ending::out_of_time:
        return {ErrorKind::timed_out, "no complete answer in time"};
      case Ending::silent:
        return {ErrorKind::timed_out,
                fmt::format("silent for {} s", exchange.request.idle_timeout.count() / 1000)};
      case Ending::finished:
        break;
    }
    if (exchange.held_back) {
      return {ErrorKind::conflict, "held back"};
    }
    if (exchange.body_too_large) {
      return {ErrorKind::internal,
              fmt::format("the answer is larger than {} bytes", exchange.request.max_body)};
    }
    if (exchange.ended_by_receiver) {
      return {ErrorKind::internal, "the answer could not be used"};
    }
    if (outcome.code == CURLE_OK) {
      return {ErrorKind::unavailable, "the answer broke off among its headers"};
    }
    long number = 0;
    ::curl_easy_getinfo(session.easy.get(), CURLINFO_OS_ERRNO, &number);
    if (outcome.code == CURLE_COULDNT_CONNECT && number != 0) {
      // libcurl's own words have the milliseconds in them: each would be another trouble.
      return {kind_of(outcome.code),
              "no connection: " + std::generic_category().message(static_cast<int>(number))};
    }
    const std::string_view detail(error_text);
    return {kind_of(outcome.code),
            std::string(detail.empty() ? ::curl_easy_strerror(outcome.code) : detail)};
  }

  std::unique_ptr<Session> take_session() {
    auto idle = idle_.lock();
    if (!idle->empty()) {
      auto session = std::move(idle->back());
      idle->pop_back();
      return session;
    }
    auto session = std::make_unique<Session>();
    BUILDER_CHECK(session->multi && session->easy);
    return session;
  }

  void give_back(std::unique_ptr<Session> session) {
    // No pointer into the finished call may stay behind in the pool.
    ::curl_easy_reset(session->easy.get());
    std::unique_ptr<Session> surplus;  // Closed after the lock is gone.
    auto idle = idle_.lock();
    if (idle->size() < k_idle_sessions) {
      idle->push_back(std::move(session));
    } else {
      surplus = std::move(session);
    }
  }

  const Proxies proxies_;
  // Last in, first out: the most recent connection is the least likely to have been closed.
  Sync<std::vector<std::unique_ptr<Session>>> idle_;
  std::atomic<std::uint64_t> not_sent_{0};
  std::atomic<std::uint64_t> ambiguous_{0};
};

}  // namespace

std::unique_ptr<Client> make_client(Proxies proxies) {
  return std::make_unique<CurlClient>(std::move(proxies));
}

}  // namespace builder::adapters::http
