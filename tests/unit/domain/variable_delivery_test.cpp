#include "domain/variable_delivery.hpp"

#include <gtest/gtest.h>

namespace builder::domain {
namespace {

using Variables = std::vector<EnvironmentVariable>;
using Arguments = std::map<std::string, std::string>;
using Names = std::vector<std::string>;

constexpr const char* k_token = "npm_7Hq2LzP9xWv4Tn8RkYb3";

Names names_of(const std::map<std::string, Secret>& secrets) {
  Names names;
  for (const auto& [name, value] : secrets) {
    names.push_back(name);
  }
  return names;
}

TEST(Deliver, OffersEachAsASecretAndNoSecretAsAnArgument) {
  const auto delivered = deliver({{"NODE_ENV", "production"},
                                  {"NPM_TOKEN", k_token},
                                  {"DATABASE_URL", "postgres://shop:hunter22@db/shop"},
                                  {"NEXT_PUBLIC_KEY", "pk_live_7Hq2LzP9xWv4Tn8RkYb3"},
                                  {"EMPTY", ""}},
                                 {});
  EXPECT_EQ(names_of(delivered.secrets),
            (Names{"DATABASE_URL", "EMPTY", "NEXT_PUBLIC_KEY", "NODE_ENV", "NPM_TOKEN"}));
  EXPECT_EQ(delivered.secrets.at("NPM_TOKEN").reveal(), k_token);
  EXPECT_EQ(delivered.arguments, (Arguments{{"NEXT_PUBLIC_KEY", "pk_live_7Hq2LzP9xWv4Tn8RkYb3"},
                                            {"NODE_ENV", "production"}}));
  EXPECT_EQ(delivered.withheld, (Names{"DATABASE_URL", "NPM_TOKEN"}));
}

TEST(Deliver, TheCustomerMayListWhatLooksSecret) {
  const Variables variables{{"NPM_TOKEN", k_token}, {"API_KEY", k_token}};
  const auto delivered = deliver(variables, {}, {"NPM_TOKEN", "OTHER"});
  EXPECT_EQ(delivered.arguments, (Arguments{{"NPM_TOKEN", k_token}}));
  EXPECT_EQ(delivered.withheld, Names{"API_KEY"});
}

TEST(Deliver, NothingSteersTheFrontend) {
  Variables variables;
  for (const char* name :
       {"BUILDKIT_SYNTAX", "BUILDKIT_CACHE_MOUNT_NS", "BUILDKIT_INLINE_CACHE", "buildkit_syntax",
        "HTTP_PROXY", "https_proxy", "No_Proxy", "ALL_PROXY", "SOURCE_DATE_EPOCH", "TARGETPLATFORM",
        "BUILDARCH", "TARGETSTAGE", "a.b", "1A", "A B", "A=B", "", "Ä"}) {
    variables.push_back({name, "x"});
  }
  const auto delivered = deliver(variables, {});
  EXPECT_EQ(delivered.arguments, Arguments());
  EXPECT_EQ(delivered.withheld, Names());
  EXPECT_TRUE(delivered.secrets.contains("HTTP_PROXY")) << "which steers nothing";
  EXPECT_FALSE(delivered.secrets.contains("A=B"));
}

TEST(Deliver, NothingSteersTheProgramsOfTheSteps) {
  const Variables variables{{"PATH", "/x"}, {"HOME", "/x"}, {"LD_PRELOAD", "/x"}};
  const auto delivered = deliver(variables, {});
  EXPECT_TRUE(delivered.arguments.empty());
  EXPECT_TRUE(delivered.withheld.empty()) << "an ARG of these names has its default";
  EXPECT_EQ(deliver(variables, {}, {"HOME"}).arguments, (Arguments{{"HOME", "/x"}}));
}

TEST(Deliver, BrowsersGetItAnyway) {
  EXPECT_TRUE(deliver({{"VITE_API_KEY", k_token}}, {}).arguments.contains("VITE_API_KEY"));
}

TEST(Deliver, ASecretMayHaveAnyNameThatAnIdCanHave) {
  const auto delivered = deliver({{"npm.token-1", k_token}, {"a/b", "x"}, {"a,b", "x"}}, {});
  EXPECT_EQ(names_of(delivered.secrets), Names{"npm.token-1"});
}

TEST(Deliver, TheOperatorChoosesTheWays) {
  const Variables variables{{"A", "1"}, {"TOKEN", k_token}};
  EXPECT_TRUE(deliver(variables, {.secret = false}).secrets.empty());
  const auto no_arguments = deliver(variables, {.argument = false});
  EXPECT_TRUE(no_arguments.arguments.empty());
  EXPECT_TRUE(no_arguments.withheld.empty()) << "nothing is said of what is not offered";
}

TEST(Deliver, LeavesOutWhatBuildKitWouldRefuse) {
  const std::string large(500 * 1024, 'x');
  const auto delivered =
      deliver({{"JUST", large}, {"OVER", large + "x"}, {"NUL", {"a\0b", 3}}}, {});
  EXPECT_EQ(names_of(delivered.secrets), Names{"JUST"});
  EXPECT_FALSE(delivered.arguments.contains("NUL"));
  EXPECT_EQ(deliver({{"A", "1"}, {"A", "2"}}, {}).arguments, (Arguments{{"A", "2"}}));
}

}  // namespace
}  // namespace builder::domain
