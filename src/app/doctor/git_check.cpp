#include "adapters/git/address_policy.hpp"
#include "adapters/http/client.hpp"
#include "adapters/http/proxy.hpp"
#include "app/doctor/checks.hpp"
#include "app/health/version_check.hpp"

#include <fmt/format.h>

#include <string>

namespace builder::app {

namespace {

void look_at_host(const Circumstances& now, Report& report) {
  constexpr const char* k_what = "host";
  const std::string& url = now.config.github_url;
  const auto& proxies = adapters::http::Proxies::of_process();
  adapters::network::Resolver resolver;
  const ports::JobContext job{
      .deployment_id = domain::DeploymentId("-"), .stop = now.stop, .deadline = now.deadline};
  const auto checked = adapters::git::check_host(
      url, {now.config.git_network_policy, now.config.git_allowed_hosts, proxies}, resolver, job);
  if (!checked) {
    const Error& error = checked.error();
    report.failure(k_what, error,
                   {.setting = error.message.contains("GIT_NETWORK_POLICY") ? "GIT_NETWORK_POLICY"
                                                                            : "GITHUB_URL",
                    .cure = error.message.contains("GIT_NETWORK_POLICY")
                                ? "correct the address, or name the host in GIT_ALLOWED_HOSTS"
                                : "correct the address, or mend the resolver "
                                  "(/etc/resolv.conf); behind a proxy set https_proxy"});
    return;
  }
  adapters::http::Request request{.url = url + "/"};
  request.pinned = checked->pinned();
  const auto http = adapters::http::make_client();
  const auto answer = http->send(request, now.stop, now.deadline);
  const std::string proxy = adapters::http::without_secrets(proxies.for_url(url));
  const std::string way = proxy.empty() ? "without a proxy" : "through the proxy " + proxy;
  // An answer larger than is read is one, too.
  if (!answer && answer.error().kind != ErrorKind::internal) {
    report.failure(
        k_what, Error(answer.error()).with_context(url + ", " + way),
        {.setting = "GITHUB_URL",
         .cure = proxy.empty() ? "open the way from here, or set https_proxy and http_proxy"
                               : "look at the proxy, or name the host in no_proxy"});
  } else if (checked->plain_http && now.config.git_network_policy != NetworkPolicy::any) {
    report.warning(k_what, url + " answers " + way + "; sources and tokens travel in the clear",
                   {.setting = "GITHUB_URL", .cure = "use https"});
  } else {
    report.ok(k_what,
              fmt::format("{} answers{}, {}", url, checked->plain_http ? "" : " over TLS", way));
  }
}

}  // namespace

void check_git(const Circumstances& now, Report& report) {
  if (const std::string version = git_version(now.stop); !version.empty()) {
    report.ok("program", "git " + version);
  } else {
    report.failure("program", "git cannot be run",
                   {.cure = "install git, in the PATH of the worker"});
  }
  look_at_host(now, report);
}

}  // namespace builder::app
