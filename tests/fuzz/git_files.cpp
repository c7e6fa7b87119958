// What a repository says of its submodules and large files is read or refused, and what becomes an
// address is none that means something else to git.
#include "adapters/git/large_files.hpp"
#include "adapters/git/submodules.hpp"
#include "base/text.hpp"

#include "fuzz/target.hpp"

#include <algorithm>

namespace {

using namespace builder;
using namespace builder::adapters::git;

void check_submodule(std::string_view url) {
  static const Account account{.endpoint = {.scheme = "https", .host = "github.com", .port = 443},
                               .base = "https://github.com"};
  const SubmoduleSource source =
      resolve_submodule("https://github.com/owner/name.git", url, account);
  fuzz::expect(source.url.empty() != source.refused.empty(), "neither an address nor a reason");
  if (source.url.empty()) {
    return;
  }
  fuzz::expect(source.url.starts_with("https://") || source.url.starts_with("http://"),
               "another transport: " + source.url);
  fuzz::expect(
      std::ranges::none_of(source.url, [](unsigned char c) { return c <= 0x20 || c == 0x7F; }),
      "a blank in an address: " + source.url);
  const std::string_view behind = std::string_view(source.url).substr(source.url.find("//") + 2);
  fuzz::expect(!behind.substr(0, behind.find('/')).contains('@'), "a login: " + source.url);
  const auto endpoint = parse_endpoint(source.url);
  fuzz::expect(endpoint.has_value(), "no address: " + source.url);
  fuzz::expect(source.password.reveal().empty() || !(*endpoint == account.endpoint),
               "a login for the account's own origin");
}

}  // namespace

BUILDER_FUZZ(git_files) {
  if (const auto file = parse_pointer(input)) {
    fuzz::expect(file->oid.size() == 64 && is_hex(file->oid), "no name of an object: " + file->oid);
    const auto again =
        parse_pointer("version https://git-lfs.github.com/spec/v1\noid sha256:" + file->oid +
                      "\nsize " + std::to_string(file->size) + "\n");
    fuzz::expect(again && again->oid == file->oid && again->size == file->size,
                 "a pointer is not read back");
  }
  for (const auto& [path, module] : parse_submodules(input)) {
    check_submodule(module.url);
  }
  check_submodule(input);
  const LargeFileSettings settings = parse_lfsconfig(input);
  for (const auto& patterns : {settings.included, settings.excluded}) {
    for (const std::string& pattern : patterns) {
      fuzz::expect(!pattern.empty() && !pattern.contains('\n'), "no pattern");
    }
  }
}
