#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::http {

/// The proxies that the operator's environment names: `http_proxy`, `https_proxy`, `all_proxy` and
/// `no_proxy`, in lower case or (second) in upper case. One reading for everything the worker asks
/// itself or through git.
class Proxies {
 public:
  /// The value of a variable; empty: not set.
  using Lookup = std::function<std::string(const char* name)>;

  explicit Proxies(const Lookup& environment);
  /// Of this process, read once.
  static const Proxies& of_process();

  /// URL of the proxy for a URL, credentials included: a secret. Empty: none.
  [[nodiscard]] std::string for_url(std::string_view url) const;
  /// The variables that name a proxy, under both spellings, as programs expect them.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> variables() const;
  /// Passwords that stand in the proxies' URLs.
  [[nodiscard]] std::vector<std::string> passwords() const;

 private:
  [[nodiscard]] bool is_direct(std::string_view host, std::string_view port) const;

  std::string http_;
  std::string https_;
  std::string all_;
  std::string none_;
  std::vector<std::string> direct_;  ///< Entries of no_proxy, in lower case.
};

/// The password that stands in a URL as it is written, and decoded where that is something else;
/// empty: none does.
std::vector<std::string> passwords_in(std::string_view url);

/// Whether a URL names this machine or its cloud host: a proxy asked for those would hand what only
/// they may get to whatever it can reach.
bool is_of_this_machine(std::string_view url);

}  // namespace builder::adapters::http
