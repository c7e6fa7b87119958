#include "build/build_plan.hpp"

#include "domain/knobs/knob_readers.hpp"
#include "domain/relative_path.hpp"
#include "fakes/memory_tree.hpp"
#include "ports/overlay_tree.hpp"

#include <gtest/gtest.h>

namespace builder::build {
namespace {

using fakes::MemoryTree;
using ports::make_overlay_tree;

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

/// With all knobs allowed.
Result<BuildPlan> plan_of(const domain::DeploymentRequest& job, StepSettings settings,
                          const std::shared_ptr<const ports::SourceTree>& source,
                          domain::EventSink& events) {
  settings.knobs = domain::knobs::read_rules("all").value();
  settings.knobs.longest_timeout = std::chrono::hours(1);
  BUILDER_TRY_ASSIGN(const auto said, read_knobs(job, settings.knobs, *source));
  return make_build_plan(job, settings, said, source, events);
}

Result<DockerfilePlan> dockerfile_plan(const domain::DeploymentRequest& job,
                                       std::shared_ptr<const ports::SourceTree> source,
                                       domain::EventSink& events) {
  BUILDER_TRY_ASSIGN(auto plan, plan_of(job, {}, source, events));
  return std::get<DockerfilePlan>(std::move(plan));
}

Result<BuildpacksPlan> buildpacks_plan(const domain::DeploymentRequest& job,
                                       const BuildpacksRules& rules,
                                       std::shared_ptr<const ports::SourceTree> source,
                                       domain::EventSink& events) {
  BUILDER_TRY_ASSIGN(auto plan, plan_of(job, {.buildpacks = rules}, source, events));
  return std::get<BuildpacksPlan>(std::move(plan));
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

TEST(OverlayTree, TellsTheContentsOfGeneratedFilesApart) {
  const auto one = make_overlay_tree(tree_with_dockerfile(), {{".env", "A=1"}});
  const auto same = make_overlay_tree(tree_with_dockerfile(), {{".env", "A=1"}});
  const auto other = make_overlay_tree(tree_with_dockerfile(), {{".env", "A=2"}});
  EXPECT_EQ(one->stat(".env")->content, same->stat(".env")->content);
  EXPECT_NE(one->stat(".env")->content, other->stat(".env")->content);
}

TEST(OverlayTree, HangsTheBaseBelowAFolder) {
  auto base = std::make_shared<MemoryTree>();
  base->add_file("a/b", "from the base");
  const auto tree = make_overlay_tree(
      base, {{"Dockerfile", "FROM x"}, {"platform/env/PORT", "1"}, {"app/x", "beside"}}, "app");
  const auto names = [&](std::string_view folder) {
    std::string text;
    const auto entries = tree->list(folder);
    for (const auto& entry : entries.value()) {
      text += entry.name + (entry.info.type == ports::FileType::directory ? "/ " : " ");
    }
    return text;
  };
  EXPECT_EQ(names(""), "Dockerfile app/ platform/ ");
  EXPECT_EQ(names("platform"), "env/ ");
  EXPECT_EQ(names("platform/env"), "PORT ");
  EXPECT_EQ(names("app"), "a/ x ");
  EXPECT_EQ(names("app/a"), "b ");
  EXPECT_EQ(read(*tree, "app/a/b"), "from the base");
  EXPECT_EQ(read(*tree, "app/x"), "beside");
  EXPECT_EQ(read(*tree, "platform/env/PORT"), "1");
  EXPECT_EQ(tree->stat("app")->type, ports::FileType::directory);
  EXPECT_EQ(tree->stat("platform/env")->type, ports::FileType::directory);
  EXPECT_FALSE(tree->stat("a/b"));
  EXPECT_FALSE(tree->open("platform"));
  EXPECT_FALSE(tree->list("nothing"));
  EXPECT_FALSE(tree->stat("application"));
}

TEST(BuildPlan, WritesVariablesAndADefaultIgnoreFile) {
  EventList events;
  auto job = request();
  job.environment = {{"A", "1"}};
  const auto context = dockerfile_plan(job, tree_with_dockerfile(), events);
  ASSERT_TRUE(context) << context.error().message;
  EXPECT_TRUE(read(*context->tree, ".env").starts_with("A=")) << read(*context->tree, ".env");
  EXPECT_TRUE(read(*context->tree, ".dockerignore").contains(".git"));
  EXPECT_EQ(context->target.dockerfile, "Dockerfile");
}

TEST(BuildPlan, TheRepositorysOwnIgnoreFileStays) {
  EventList events;
  auto source = tree_with_dockerfile();
  source->add_file(".dockerignore", "mine\n");
  const auto context = dockerfile_plan(request(), source, events);
  ASSERT_TRUE(context);
  EXPECT_EQ(read(*context->tree, ".dockerignore"), "mine\n");
  EXPECT_FALSE(context->tree->stat(".env")) << "no variables, no file";
}

TEST(BuildPlan, DockerfilePathsAreCleanedAndStayInside) {
  for (const auto& [path, cleaned] : std::vector<std::pair<std::string, std::string>>{
           {"./a/Dockerfile", "a/Dockerfile"}, {"a//b/../Dockerfile", "a/Dockerfile"}}) {
    EXPECT_EQ(domain::clean_relative_path(path).value(), cleaned);
  }
  for (const std::string path : {"/etc/passwd", "../x", "a/../../x", ".", "", "a\nb"}) {
    EXPECT_FALSE(domain::clean_relative_path(path)) << path;
  }
}

TEST(BuildPlan, PathsAreTakenAsPeopleTypeThem) {
  for (const std::string typed : {"/docker/Dockerfile", "//docker/Dockerfile",
                                  " docker/Dockerfile\n", "docker\\Dockerfile"}) {
    EventList events;
    auto source = std::make_shared<MemoryTree>();
    source->add_file("docker/Dockerfile", "FROM busybox\n");
    auto job = request();
    job.runtime_file_path = typed;
    const auto plan = dockerfile_plan(job, source, events);
    ASSERT_TRUE(plan) << typed;
    EXPECT_EQ(plan->target.dockerfile, "docker/Dockerfile");
    EXPECT_TRUE(events.text.contains("is read as docker/Dockerfile")) << events.text;
  }
  for (const std::string typed : {"", "./docker/Dockerfile"}) {
    EventList events;
    auto job = request();
    job.runtime_file_path = typed;
    static_cast<void>(plan_of(job, {}, tree_with_dockerfile(), events));
    EXPECT_FALSE(events.text.contains("is read as")) << typed;
  }
  auto job = request();
  job.runtime_file_path = "/../x";
  EXPECT_EQ(early_target(job, {}, {}), std::nullopt);
}

TEST(BuildPlan, TheLowerCaseIsTakenWhereTheDockerfileIsAbsent) {
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_file("dockerfile", "FROM a\n");
  source->add_file("docker/dockerfile", "FROM b\n");
  EXPECT_EQ(dockerfile_plan(request(), source, events)->target.dockerfile, "dockerfile");
  auto job = request();
  job.runtime_file_path = "docker/Dockerfile";
  EXPECT_EQ(dockerfile_plan(job, source, events)->target.dockerfile, "docker/dockerfile");
  source->add_file("Dockerfile", "FROM c\n");
  EXPECT_EQ(dockerfile_plan(request(), source, events)->target.dockerfile, "Dockerfile");
}

TEST(BuildPlan, FilesThatLookLikeADockerfileAreNamed) {
  for (const std::string name : {"DockerFile", "Dockerfile.txt", "dockerfile.txt", "Containerfile",
                                 "prod.Dockerfile", "vote/Dockerfile", "a/b/c/Dockerfile"}) {
    EventList events;
    auto source = std::make_shared<MemoryTree>();
    source->add_file(name, "FROM a\n");
    source->add_file("Dockerfile.dockerignore", "");
    ASSERT_TRUE(buildpacks_plan(request(), {}, source, events)) << name;
    EXPECT_TRUE(events.text.contains("but the repository has " + name + ":")) << events.text;
  }
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_file("node_modules/x/Dockerfile", "");
  source->add_file("dockerfiles.md", "");
  ASSERT_TRUE(buildpacks_plan(request(), {}, source, events));
  EXPECT_FALSE(events.text.contains("but the repository has")) << events.text;
}

TEST(BuildPlan, AFolderAsPathNamesTheFileInIt) {
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_file("docker/Dockerfile", "FROM a\n");
  auto job = request();
  job.runtime_file_path = "docker/";
  const auto plan = dockerfile_plan(job, source, events);
  ASSERT_FALSE(plan);
  EXPECT_TRUE(plan.error().customer.contains("docker/Dockerfile")) << plan.error().customer;
}

TEST(BuildPlan, TheIgnoreFileInForceIsNamed) {
  const auto said = [](const std::map<std::string, std::string>& files) {
    EventList events;
    auto source = tree_with_dockerfile();
    for (const auto& [name, text] : files) {
      source->add_file(name, text);
    }
    const auto plan = dockerfile_plan(request(), source, events);
    const bool has_default =
        plan && !files.contains(".dockerignore") && plan->tree->stat(".dockerignore");
    return events.text + (has_default ? "(laid)" : "");
  };
  EXPECT_TRUE(said({}).contains("using the platform's default one")) << said({});
  EXPECT_TRUE(said({}).contains("(laid)"));
  EXPECT_TRUE(said({{".dockerignore", "a"}}).contains("in force is .dockerignore"));
  const auto own = said({{".dockerignore", "a"}, {"Dockerfile.dockerignore", "b"}});
  EXPECT_TRUE(own.contains("in force is Dockerfile.dockerignore")) << own;
  EXPECT_FALSE(said({{"Dockerfile.dockerignore", "b"}}).contains("(laid)"));
}

TEST(BuildPlan, AnIgnoreFileThatHidesTheVariablesIsWarnedAbout) {
  auto source = tree_with_dockerfile();
  source->add_file(".dockerignore", "a\n.env*\n");
  EventList events;
  auto job = request();
  ASSERT_TRUE(dockerfile_plan(job, source, events));
  EXPECT_FALSE(events.text.contains("keeps .env out")) << "there are no variables";
  job.environment = {{"A", "1"}};
  ASSERT_TRUE(dockerfile_plan(job, source, events));
  EXPECT_TRUE(events.text.contains(".dockerignore:2: \".env*\" keeps .env out")) << events.text;
}

TEST(BuildPlan, ALineThatIsNoPatternIsTheCustomersToMend) {
  auto source = tree_with_dockerfile();
  source->add_file(".dockerignore", "a\nsecret[\n");
  EventList events;
  const auto plan = dockerfile_plan(request(), source, events);
  ASSERT_FALSE(plan);
  EXPECT_TRUE(
      plan.error().customer.starts_with(".dockerignore:2: \"secret[\" is not a valid pattern: "))
      << plan.error().customer;
}

TEST(BuildPlan, AnIgnoreFileWithTooManyPatternsIsTheCustomersToMend) {
  auto source = tree_with_dockerfile();
  std::string text;
  for (int i = 0; i < 10'001; ++i) {
    text += "a/*/" + std::to_string(i) + "\n";
  }
  source->add_file(".dockerignore", text);
  EventList events;
  const auto plan = dockerfile_plan(request(), source, events);
  ASSERT_FALSE(plan);
  EXPECT_TRUE(
      plan.error().customer.starts_with(".dockerignore:10001: \"a/*/10000\" is one pattern"))
      << plan.error().customer;
  EXPECT_LE(plan.error().customer.size(), 191U);
}

TEST(BuildPlan, WithoutADockerfileBuildpacksAreUsed) {
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_file("package.json", "{}");
  auto job = request();
  job.environment = {{"A", "1"}};
  job.ports = {{.service_port = 80, .container_port = 5001}};
  const auto plan = buildpacks_plan(job, {.builder = "acme/builder"}, source, events);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->builder, "acme/builder");
  EXPECT_EQ(read(*plan->app, "package.json"), "{}");
  EXPECT_TRUE(read(*plan->app, ".env").starts_with("A="));
  EXPECT_FALSE(plan->app->stat(".dockerignore")) << "buildpacks do not read one";
  EXPECT_EQ(plan->environment.at("PORT"), "5001");
  EXPECT_EQ(plan->environment.at("BP_INCLUDE_FILES"), "*");
  EXPECT_FALSE(plan->environment.contains("BP_NODE_VERSION")) << "the app's own choice wins";
  EXPECT_FALSE(plan->environment.contains("A"));
  EXPECT_FALSE(plan->clear_cache);
  EXPECT_TRUE(events.text.contains("No Dockerfile in the repository"));
}

TEST(BuildPlan, AMissingDockerfileIsNamed) {
  EventList events;
  auto job = request();
  job.runtime_file_path = "./docker/Dockerfile";
  const auto plan = buildpacks_plan(job, {}, tree_with_dockerfile(), events);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(events.text.contains("No Dockerfile at './docker/Dockerfile'")) << events.text;
}

TEST(BuildPlan, TheServicesVariablesReachBuildpacksByOptionOnly) {
  EventList events;
  auto job = request();
  job.environment = {{"A", "1"}, {"PORT", "9"}, {"CNB_CLEAR_CACHE", "true"}};
  const auto source = std::make_shared<MemoryTree>();
  source->add_file("x", "");
  const auto plan =
      buildpacks_plan(job, {.node_version = "18.*", .user_environment = true}, source, events);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->environment.at("A"), "1");
  EXPECT_EQ(plan->environment.at("PORT"), "9");
  EXPECT_EQ(plan->environment.at("BP_NODE_VERSION"), "18.*");
  EXPECT_FALSE(plan->environment.contains("CNB_CLEAR_CACHE"));
  EXPECT_TRUE(plan->clear_cache);
}

TEST(BuildPlan, ProjectTomlSelectsFilesVariablesAndAnAllowedBuilder) {
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_file("src/main.c", "x");
  source->add_file("docs/a.md", "x");
  source->add_file("b.md", "x");
  source->add_file("project.toml", R"([io.buildpacks]
builder = "heroku/builder:24"
exclude = ["*.md", ".env"]
[[io.buildpacks.build.env]]
name = "BP_X"
value = "y"
)");
  auto job = request();
  job.environment = {{"A", "1"}};
  const BuildpacksRules rules{.builder = "acme/builder", .allowed_builders = {"heroku/builder:24"}};
  const auto plan = buildpacks_plan(job, rules, source, events);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->builder, "heroku/builder:24");
  EXPECT_EQ(plan->environment.at("BP_X"), "y");
  EXPECT_EQ(read(*plan->app, "src/main.c"), "x");
  EXPECT_FALSE(plan->app->stat("b.md"));
  EXPECT_FALSE(plan->app->open("docs/a.md"));
  EXPECT_FALSE(plan->app->stat("docs")) << "nothing is left in it";
  EXPECT_FALSE(plan->app->stat(".env")) << "its owner keeps it out of the image";
  EXPECT_FALSE(plan->app->list("docs"));

  const auto other = buildpacks_plan(job, {.builder = "acme/builder"}, source, events);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->builder, "acme/builder");
  EXPECT_TRUE(events.text.contains("not allowed here"));
}

TEST(BuildPlan, IncludeKeepsWhatItNamesOnly) {
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_file("src/a/main.c", "x");
  source->add_file("test/t.c", "x");
  source->add_file("project.toml", "[io.buildpacks]\ninclude = ['src/']\n");
  const auto plan = buildpacks_plan(request(), {}, source, events);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->app->list("")->size(), 1u);
  EXPECT_EQ(read(*plan->app, "src/a/main.c"), "x");
}

TEST(BuildPlan, ABrokenProjectTomlIsTheCustomersToMend) {
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_file("project.toml", "[[[");
  const auto plan = buildpacks_plan(request(), {}, source, events);
  ASSERT_FALSE(plan);
  EXPECT_TRUE(plan.error().customer.contains("project.toml: line 1")) << plan.error().customer;
  auto linked = std::make_shared<MemoryTree>();
  linked->add_symlink("project.toml", "/etc/passwd");
  EXPECT_FALSE(buildpacks_plan(request(), {}, linked, events));
}

TEST(BuildPlan, TheArchivedBuilderIsWarnedAbout) {
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_file("x", "");
  ASSERT_TRUE(
      buildpacks_plan(request(), {.builder = "paketobuildpacks/builder:base"}, source, events));
  EXPECT_TRUE(events.text.contains("archived")) << events.text;
}

TEST(BuildPlan, ADockerfileLinkOutOfTheTreeIsRefused) {
  EventList events;
  auto source = std::make_shared<MemoryTree>();
  source->add_symlink("Dockerfile", "/etc/shadow");
  const auto context = dockerfile_plan(request(), source, events);
  ASSERT_FALSE(context);
  EXPECT_FALSE(context.error().customer.empty());
}

std::shared_ptr<MemoryTree> monorepo(std::string_view knobs = {}) {
  auto tree = std::make_shared<MemoryTree>();
  tree->add_file("Dockerfile", "FROM root\n");
  tree->add_file("apps/web/Dockerfile", "FROM web\n");
  tree->add_file("apps/web/.dockerignore", "mine\n");
  tree->add_file("apps/web/package.json", "{}");
  tree->add_file("apps/api/main.go", "");
  tree->add_file("docker/web.Dockerfile", "FROM other\n");
  tree->add_symlink("link", "apps/web");
  if (!knobs.empty()) {
    tree->add_file("deployra.toml", std::string(knobs));
  }
  return tree;
}

TEST(BuildPlanKnobs, AFolderBecomesTheContextAndHasTheDockerfile) {
  EventList events;
  auto job = request();
  job.environment = {{"A", "1"}};
  const auto plan = dockerfile_plan(job, monorepo("[build]\ncontext = 'apps/web'"), events);
  ASSERT_TRUE(plan) << plan.error().customer;
  EXPECT_EQ(plan->target.dockerfile, "apps/web/Dockerfile");
  EXPECT_EQ(read(*plan->dockerfile_tree, "apps/web/Dockerfile"), "FROM web\n");
  EXPECT_EQ(read(*plan->tree, "package.json"), "{}");
  EXPECT_TRUE(plan->tree->stat(".env"));
  EXPECT_FALSE(plan->tree->stat("apps"));
  EXPECT_TRUE(events.text.contains("context = apps/web (deployra.toml:2)")) << events.text;
  EXPECT_TRUE(events.text.contains("in force is apps/web/.dockerignore")) << events.text;
}

TEST(BuildPlanKnobs, TheDockerfileMayLieBesideTheContext) {
  EventList events;
  auto job = request();
  job.runtime_file_path = "Dockerfile";
  const auto plan = dockerfile_plan(
      job, monorepo("[build]\ncontext = 'apps/api'\ndockerfile = 'docker/web.Dockerfile'"), events);
  ASSERT_TRUE(plan) << plan.error().customer;
  EXPECT_EQ(plan->target.dockerfile, "docker/web.Dockerfile") << "before the platform's path";
  EXPECT_TRUE(plan->tree->stat("main.go"));
  EXPECT_EQ(read(*plan->dockerfile_tree, "docker/web.Dockerfile"), "FROM other\n");
}

TEST(BuildPlanKnobs, ThePlatformsPathCountsFromTheRootAndThenFromTheContext) {
  EventList events;
  auto job = request();
  job.runtime_file_path = "web.Dockerfile";
  job.environment = {{"DEPLOYRA_BUILD_CONTEXT", "docker"}};
  const auto plan = dockerfile_plan(job, monorepo(), events);
  ASSERT_TRUE(plan) << plan.error().customer;
  EXPECT_EQ(plan->target.dockerfile, "docker/web.Dockerfile");
  EXPECT_FALSE(plan->tree->stat(".env")) << "a knob is no variable of the app";
  job.runtime_file_path = "Dockerfile";
  EXPECT_EQ(dockerfile_plan(job, monorepo(), events)->target.dockerfile, "Dockerfile");
}

TEST(BuildPlanKnobs, WhatTheEngineIsToldIsKnownEarlyWithoutAFile) {
  EventList events;
  auto job = request();
  job.environment = {{"DEPLOYRA_BUILD_TARGET", "small"},
                     {"DEPLOYRA_BUILD_ARGS", "TOKEN,A=1"},
                     {"DEPLOYRA_BUILD_CONTEXT", "apps/web"},
                     {"TOKEN", "npm_7Hq2LzP9xWv4Tn8RkYb3"}};
  const StepSettings settings{.knobs = domain::knobs::read_rules("all").value()};
  const auto early = early_target(
      job, domain::knobs::read_variables(job.environment, settings.knobs).value(), settings);
  const auto plan = dockerfile_plan(job, monorepo(), events);
  ASSERT_TRUE(plan);
  EXPECT_EQ(early, plan->target);
  EXPECT_EQ(early->options.target, "small");
  EXPECT_EQ(early->options.arguments, (std::map<std::string, std::string>{{"A", "1"}}));
  const auto variables = delivered(*early, job.environment, {}, {});
  EXPECT_TRUE(variables.arguments.contains("TOKEN"));
  EXPECT_FALSE(variables.secrets.contains("DEPLOYRA_BUILD_TARGET"));
  const auto with_file =
      dockerfile_plan(job, monorepo("[build]\ntarget = 'x'\nplatform = 'linux/arm64'"), events);
  ASSERT_TRUE(with_file);
  EXPECT_EQ(with_file->target.options.target, "small") << "variables go before the file";
  EXPECT_EQ(with_file->target.options.platform, "linux/arm64");
  EXPECT_NE(early, with_file->target);
}

TEST(BuildPlanKnobs, DecideWhichBaseImagesAreTaken) {
  EventList events;
  auto job = request();
  job.repository_name = "o/r";
  job.git_provider = domain::GitProvider{.type = domain::GitProviderType::custom,
                                         .url = "https://git.test",
                                         .username = "u",
                                         .password = Secret("p")};
  EXPECT_FALSE(dockerfile_plan(job, monorepo(), events)->target.pins_bases);
  EXPECT_TRUE(
      dockerfile_plan(job, monorepo("[build]\nbase_images = 'pinned'"), events)->target.pins_bases);
  StepSettings settings{.base_images = domain::BaseImages::pinned,
                        .image_labels = true,
                        .knobs = domain::knobs::read_rules("all").value()};
  settings.github_url = "https://github.com";
  const auto early = early_target(job, {}, settings);
  ASSERT_TRUE(early);
  EXPECT_TRUE(early->pins_bases);
  EXPECT_EQ(early->options.labelled_source, "https://git.test/o/r.git") << "without the login";
  job.environment = {{"DEPLOYRA_BUILD_BASE_IMAGES", "latest"}};
  EXPECT_FALSE(early_target(job,
                            domain::knobs::read_variables(job.environment, settings.knobs).value(),
                            settings)
                   ->pins_bases);
}

TEST(BuildpacksPlan, AsksForLabelsThatTheAppDoesNotSet) {
  const ports::SourceCommit commit{.id = "abc",
                                   .time = std::chrono::sys_seconds(std::chrono::seconds(1))};
  BuildpacksPlan plan;
  ask_for_labels(plan, "https://h/o/r.git", commit);
  EXPECT_EQ(plan.environment,
            (std::map<std::string, std::string>{{"BP_OCI_SOURCE", "https://h/o/r.git"},
                                                {"BP_OCI_REVISION", "abc"},
                                                {"BP_OCI_CREATED", "1970-01-01T00:00:01.000Z"}}));
  plan.environment = {{"BP_OCI_SOURCE", "mine"},
                      {"BP_IMAGE_LABELS", "a=b org.opencontainers.image.revision=mine"}};
  ask_for_labels(plan, "https://h/o/r.git", commit);
  EXPECT_EQ(plan.environment.at("BP_OCI_SOURCE"), "mine");
  EXPECT_FALSE(plan.environment.contains("BP_OCI_REVISION"));
  EXPECT_TRUE(plan.environment.contains("BP_OCI_CREATED"));
}

TEST(BuildPlanKnobs, ChooseBuildpacksAndTheirVariables) {
  EventList events;
  auto job = request();
  job.environment = {{"BP_A", "1"}, {"DEPLOYRA_BUILD_ENV", "BP_A"}};
  const auto source = monorepo(
      "[build]\nbuilder = 'buildpacks'\nno_cache = true\ncontext = 'apps/web'\n"
      "builder_image = 'acme/two'\nenv = {BP_B = '2'}");
  const BuildpacksRules rules{.builder = "acme/one", .allowed_builders = {"acme/two"}};
  const auto plan = buildpacks_plan(job, rules, source, events);
  ASSERT_TRUE(plan) << plan.error().customer;
  EXPECT_EQ(plan->builder, "acme/two");
  EXPECT_TRUE(plan->clear_cache);
  EXPECT_EQ(plan->platform, "") << "the engine's own";
  EXPECT_EQ(plan->environment.at("BP_A"), "1");
  EXPECT_EQ(plan->environment.at("BP_B"), "2");
  EXPECT_TRUE(plan->app->stat("package.json"));
  const auto refused = buildpacks_plan(job, {.builder = "acme/one"}, source, events);
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      refused.error().customer,
      "deployra.toml:5: the builder 'acme/two' is not allowed on this platform; remove it, or "
      "ask the operator to allow it");
}

TEST(BuildPlanKnobs, WhatIsNotThereIsNamedWithItsPlace) {
  EventList events;
  const auto line = [&](std::string_view knobs, std::vector<domain::EnvironmentVariable> own = {}) {
    auto job = request();
    job.environment = std::move(own);
    const auto plan = plan_of(job, {}, monorepo(knobs), events);
    return plan ? std::string() : plan.error().customer;
  };
  for (const std::string folder : {"apps/wbe", "link", "Dockerfile"}) {
    EXPECT_EQ(line("[build]\ncontext = '" + folder + "'"),
              "deployra.toml:2: '" + folder +
                  "' is no folder of the repository (links are not followed)");
  }
  EXPECT_EQ(line("[build]\ndockerfile = 'x'"),
            "deployra.toml:2: there is no Dockerfile at 'x' in the repository");
  EXPECT_EQ(line("[build]\nbuilder = 'dockerfile'\ncontext = 'apps/api'"),
            "deployra.toml:2: there is no Dockerfile at 'apps/api/Dockerfile' in the repository");
  EXPECT_EQ(
      line("", {{"DEPLOYRA_BUILD_CONFIG", "apps/deployra.toml"}}),
      "DEPLOYRA_BUILD_CONFIG: apps/deployra.toml is no file in the repository; please correct "
      "or remove it");
  EXPECT_EQ(
      line(std::string(100'000, '#')),
      "deployra.toml: deployra.toml is not a file of at most 64 KiB in the repository; please "
      "correct or remove it");
  EXPECT_EQ(line("[build]\ntarget = 'a'", {{"DEPLOYRA_BUILD_CONFIG", "apps/web/package.json"}})
                .substr(0, 31),
            "apps/web/package.json: line 1: ");
}

TEST(BuildPlanKnobs, AFileThatIsALinkOutOfTheRepositoryIsNotRead) {
  EventList events;
  auto source = tree_with_dockerfile();
  source->add_symlink("deployra.toml", "/etc/passwd");
  const auto plan = dockerfile_plan(request(), source, events);
  ASSERT_FALSE(plan);
  EXPECT_TRUE(plan.error().customer.starts_with("deployra.toml: ")) << plan.error().customer;
}

}  // namespace
}  // namespace builder::build
