#include "domain/base_image.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace builder::domain {
namespace {

const std::string k_digest = "sha256:" + std::string(64, 'a');

TEST(BaseImage, IsReadFromTheNameOfItsStep) {
  const BaseImage base{.name = "docker.io/library/node:22", .digest = k_digest};
  for (const char* before :
       {"[1/2] FROM ", "[web 1/4] FROM ", "[linux/amd64 web 1/4] FROM ", "[internal] FROM "}) {
    EXPECT_EQ(base_image_of(before + base.name + "@" + k_digest), base) << before;
  }
}

TEST(BaseImage, IsAlsoAFrontendOrOneThatIsCopiedFromOrABuilder) {
  const BaseImage image{.name = "h:5000/x", .digest = k_digest};
  for (const char* before : {"FROM ", "docker-image://", "Builder image ", "Lifecycle image ",
                             "[linux/arm64] Builder image ", "[linux/arm64] Lifecycle image "}) {
    EXPECT_EQ(base_image_of(before + image.name + "@" + k_digest), image) << before;
  }
}

TEST(BaseImage, AnEngineMayNotTellItsDigest) {
  EXPECT_EQ(base_image_of("[1/2] FROM docker.io/library/node:22"),
            (BaseImage{.name = "docker.io/library/node:22", .digest = ""}));
}

TEST(BaseImage, OtherNamesHaveNone) {
  const std::vector<std::string> names{"",
                                       "]",
                                       "[1/2",
                                       "FROM ",
                                       "resolve image config for docker-image://a@" + k_digest,
                                       "[1/2] FROM @" + k_digest,
                                       "[1/2] FROM node:22@sha256:short",
                                       "[1/2] FROM node:22 AS x",
                                       "[2/2] RUN echo [1/1] FROM x@" + k_digest,
                                       "[1/2] RUN cat node@" + k_digest,
                                       "[1/2] FROM node:22@" + k_digest + " more"};
  for (const std::string& name : names) {
    EXPECT_EQ(base_image_of(name), std::nullopt) << name;
  }
}

TEST(TaggedImage, IsAskedForByItsName) {
  for (const char* before :
       {"[internal] load metadata for ", "[linux/arm64 internal] load metadata for ",
        "resolve image config for ", "resolve image config for docker-image://"}) {
    EXPECT_EQ(tagged_image_of(before + std::string("h:5000/x:1")), "h:5000/x:1") << before;
    EXPECT_EQ(tagged_image_of(before + ("h:5000/x:1@" + k_digest)), std::nullopt) << before;
    EXPECT_EQ(tagged_image_of(before), std::nullopt) << before;
  }
  for (const char* other : {"", "[", "[internal", "[internal]", "[internal] load build context",
                            "load metadata for x", "[2/2] RUN echo [internal] load metadata for x",
                            "[2/2] RUN echo internal] load metadata for x",
                            "[internal] load metadata for x y", "[1/2] FROM node:22"}) {
    EXPECT_EQ(tagged_image_of(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace builder::domain
