#include "pipeline/overlay_tree.hpp"

#include "fakes/memory_tree.hpp"
#include "pipeline/build_context.hpp"

#include <gtest/gtest.h>

namespace builder::pipeline {
namespace {

using fakes::MemoryTree;

class EventList final : public domain::EventSink {
 public:
  void emit(domain::BuildEvent event) override {
    if (const auto* message = std::get_if<domain::Message>(&event)) {
      text += message->text + "\n";
    }
  }

  std::string text;
};

std::shared_ptr<MemoryTree> tree_with_dockerfile() {
  auto tree = std::make_shared<MemoryTree>();
  tree->add_file("Dockerfile", "FROM busybox\n");
  return tree;
}

domain::DeploymentRequest request() {
  domain::DeploymentRequest request;
  request.deployment_id = domain::DeploymentId("d1");
  request.service_id = domain::ServiceId("s1");
  return request;
}

std::string read(const ports::SourceTree& tree, std::string_view path) {
  return ports::read_file(tree, path, 1 << 20).value();
}

TEST(OverlayTree, GeneratedFilesHideWhatTheRepositoryHas) {
  auto base = tree_with_dockerfile();
  base->add_symlink(".env", "/etc/passwd");
  base->add_file("a", "from the repository");
  const auto tree = make_overlay_tree(base, {{".env", "A=1\n"}, {"zz", ""}});
  EXPECT_EQ(read(*tree, ".env"), "A=1\n");
  EXPECT_EQ(tree->stat(".env")->type, ports::FileType::regular);
  EXPECT_FALSE(tree->read_link(".env"));
  EXPECT_EQ(read(*tree, "a"), "from the repository");
  std::string names;
  const auto entries = tree->list("");
  ASSERT_TRUE(entries);
  for (const auto& entry : *entries) {
    names += entry.name + " ";
  }
  EXPECT_EQ(names, ".env Dockerfile a zz ");
}

TEST(OverlayTree, TheTimeOfAGeneratedFileFollowsItsContent) {
  const auto one = make_overlay_tree(tree_with_dockerfile(), {{".env", "A=1"}});
  const auto same = make_overlay_tree(tree_with_dockerfile(), {{".env", "A=1"}});
  const auto other = make_overlay_tree(tree_with_dockerfile(), {{".env", "A=2"}});
  EXPECT_EQ(one->stat(".env")->modified, same->stat(".env")->modified);
  EXPECT_NE(one->stat(".env")->modified, other->stat(".env")->modified);
}

TEST(BuildContext, WritesVariablesAndADefaultIgnoreFile) {
  EventList events;
  auto job = request();
  job.environment = {{"A", "1"}};
  const auto context = make_build_context(job, tree_with_dockerfile(), events);
  ASSERT_TRUE(context) << context.error().message;
  EXPECT_TRUE(read(*context->tree, ".env").starts_with("A=")) << read(*context->tree, ".env");
  EXPECT_TRUE(read(*context->tree, ".dockerignore").contains(".git"));
  EXPECT_EQ(context->dockerfile, "Dockerfile");
}

TEST(BuildContext, TheRepositorysOwnIgnoreFileStays) {
  EventList events;
  auto source = tree_with_dockerfile();
  source->add_file(".dockerignore", "mine\n");
  const auto context = make_build_context(request(), source, events);
  ASSERT_TRUE(context);
  EXPECT_EQ(read(*context->tree, ".dockerignore"), "mine\n");
  EXPECT_FALSE(context->tree->stat(".env")) << "no variables, no file";
}

TEST(BuildContext, DockerfilePathsAreCleanedAndStayInside) {
  for (const auto& [path, cleaned] : std::vector<std::pair<std::string, std::string>>{
           {"./a/Dockerfile", "a/Dockerfile"}, {"a//b/../Dockerfile", "a/Dockerfile"}}) {
    EXPECT_EQ(clean_relative_path(path).value(), cleaned);
  }
  for (const std::string path : {"/etc/passwd", "../x", "a/../../x", ".", "", "a\nb"}) {
    EXPECT_FALSE(clean_relative_path(path)) << path;
  }
}

TEST(BuildContext, AMissingDockerfileIsTheCustomersToMend) {
  EventList events;
  auto job = request();
  job.runtime_file_path = "docker/Dockerfile";
  const auto context = make_build_context(job, tree_with_dockerfile(), events);
  ASSERT_FALSE(context);
  EXPECT_TRUE(context.error().customer.contains("docker/Dockerfile")) << context.error().customer;
  EXPECT_LE(context.error().customer.size(), 191u);
}

TEST(BuildContext, ADockerfileLinkOutOfTheTreeIsRefused) {
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_symlink("Dockerfile", "/etc/shadow");
  const auto context = make_build_context(request(), source, events);
  ASSERT_FALSE(context);
  EXPECT_FALSE(context.error().customer.empty());
}

}  // namespace
}  // namespace builder::pipeline
