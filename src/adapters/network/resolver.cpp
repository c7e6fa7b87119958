#include "adapters/network/resolver.hpp"

#include "base/check.hpp"
#include "base/fd.hpp"
#include "base/stop.hpp"

#include <netdb.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <system_error>

namespace builder::adapters::network {

namespace {

struct Found {
  int status = 0;
  std::vector<Address> addresses;
};

Found system_lookup(const std::string& host, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  Found found;
  found.status = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (found.status != 0) {
    return found;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  for (const addrinfo* item = list; item != nullptr; item = item->ai_next) {
    Address address;
    address.size = item->ai_addrlen;
    std::memcpy(&address.storage, item->ai_addr, item->ai_addrlen);
    found.addresses.push_back(address);
  }
  return found;
}

Result<std::vector<Address>> to_result(const std::string& host, Found found) {
  if (found.status == 0) {
    return std::move(found.addresses);
  }
  const bool absent = found.status == EAI_NONAME || found.status == EAI_NODATA;
  return std::unexpected(Error{.kind = absent ? ErrorKind::not_found : ErrorKind::unavailable,
                               .message = "resolve " + host + ": " + ::gai_strerror(found.status)});
}

}  // namespace

struct Resolver::Answer {
  Fd ready{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::atomic<bool> done = false;
  Found found;  // Written before `done`.
};

std::string Address::numeric() const {
  std::array<char, NI_MAXHOST> text{};
  if (::getnameinfo(&get(), size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return {};
  }
  return text.data();
}

Result<std::vector<Address>> Resolver::lookup(const std::string& host,
                                              const ports::JobContext& job) {
  // Addresses, decimal and octal forms too, need no name server.
  Found literal = system_lookup(host, AI_NUMERICHOST);
  if (literal.status == 0) {
    return std::move(literal.addresses);
  }
  auto answer = std::make_shared<Answer>();
  if (!answer->ready) {
    return errno_failure("eventfd");
  }
  std::jthread thread;
  try {
    thread = std::jthread([answer, host] {
      answer->found = system_lookup(host, 0);
      answer->done = true;
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = ::write(answer->ready.get(), &one, sizeof one);
    });
  } catch (const std::system_error& error) {
    // Threads of others ask as well, and an exception would end them with the program.
    return failure(ErrorKind::unavailable,
                   std::string("no thread could be made to resolve a name: ") + error.what());
  }
  {
    auto running = running_.lock();
    std::erase_if(*running, [](const Running& other) { return other.answer->done.load(); });
    running->push_back({answer, std::move(thread)});
  }
  std::array<pollfd, 1> fds{{{.fd = answer->ready.get(), .events = POLLIN, .revents = 0}}};
  const StopFd stop(job.stop);
  switch (wait_any(fds, stop, job.deadline)) {
    case WaitResult::ready:
      // The descriptor woke us; this read is what makes the thread's writes ours.
      BUILDER_CHECK(answer->done.load());
      return to_result(host, std::move(answer->found));
    case WaitResult::stopped:
      return failure(ErrorKind::cancelled, "stopped while resolving " + host);
    case WaitResult::deadline:
      break;
  }
  return failure(ErrorKind::timed_out, "resolving " + host + " took too long");
}

}  // namespace builder::adapters::network
