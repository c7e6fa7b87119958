#include "build/build_inputs.hpp"

#include "fakes/memory_tree.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace builder::build {
namespace {

/// A build whose parts can be changed one by one.
struct Build {
  std::shared_ptr<fakes::MemoryTree> tree = std::make_shared<fakes::MemoryTree>();
  std::string ignore_file = "*.log\nnode_modules\n!keep.log\n";
  DockerfileTarget target{.dockerfile = "Dockerfile"};
  domain::knobs::BuildKnobs knobs;
  domain::DeliveredVariables variables;
  Secret key{"key"};

  Build() {
    tree->add_file("Dockerfile", "FROM busybox\nCOPY . /\n");
    tree->add_file("src/main.c", "int main;");
    tree->add_file("keep.log", "kept");
    tree->add_file("other.log", "hidden");
    tree->add_file("node_modules/left/pad.js", "hidden");
    variables.arguments = {{"A", "1"}};
    variables.secrets = {{"TOKEN", Secret("t")}};
  }

  [[nodiscard]] Result<std::string> inputs(const std::stop_token& stop = {}) const {
    return inputs_of(
        {.tree = tree, .dockerfile_tree = tree, .ignore_file = ignore_file, .target = target},
        knobs, variables, key, stop);
  }
};

std::string after(const std::function<void(Build&)>& change) {
  Build build;
  change(build);
  return build.inputs().value();
}

const std::string& unchanged() {
  static const std::string inputs = Build().inputs().value();
  return inputs;
}

TEST(BuildInputs, AreTheSameForTheSame) {
  EXPECT_EQ(unchanged().size(), 64u);
  EXPECT_EQ(after([](Build&) {}), unchanged());
}

TEST(BuildInputs, LeaveOutWhatTheIgnoreFileHides) {
  EXPECT_EQ(after([](Build& b) { b.tree->add_file("other.log", "changed"); }), unchanged());
  EXPECT_EQ(after([](Build& b) { b.tree->add_file("node_modules/new.js", "new"); }), unchanged());
  EXPECT_EQ(after([](Build& b) { b.ignore_file += "# said differently\n"; }), unchanged());
}

TEST(BuildInputs, LeaveOutWhatTheCustomerSaysNoBuildIsAbout) {
  const auto with = [](const std::string& context, std::vector<std::string> patterns) {
    return [=](Build& b) {
      b.knobs.context = {.value = context};
      b.knobs.ignored_paths = {.value = patterns};
    };
  };
  const auto changed = [](auto decide, const std::string& path) {
    return after([&](Build& b) {
      decide(b);
      b.tree->add_file(path, "changed");
    });
  };
  const auto sources = with("", {"src/"});
  EXPECT_EQ(changed(sources, "src/main.c"), after(sources));
  EXPECT_NE(changed(sources, "keep.log"), after(sources));
  const auto in_context = with("apps/web", {"apps/web/src/"});
  EXPECT_EQ(changed(in_context, "src/main.c"), after(in_context));
  const auto elsewhere = with("apps/web", {"/src/"});
  EXPECT_NE(changed(elsewhere, "src/main.c"), after(elsewhere));
}

TEST(BuildInputs, AnEmptyFolderCounts) {
  const auto with = [](const std::vector<std::string>& files) {
    return after([&](Build& b) {
      b.ignore_file = "logs/*\n";
      for (const std::string& path : files) {
        b.tree->add_file(path, "");
      }
    });
  };
  EXPECT_NE(with({"logs/.keep"}), with({}));
  EXPECT_EQ(with({"logs/.keep"}), with({"logs/other"}));
}

TEST(BuildInputs, PatternsCountAndNoneHidesTheVariables) {
  const auto with = [](std::vector<std::string> patterns, const std::string& variables) {
    return after([&](Build& b) {
      b.knobs.ignored_paths = {.value = std::move(patterns)};
      b.tree->add_file(".env", variables);
    });
  };
  EXPECT_NE(with({"docs/"}, "A=1"), with({"other/"}, "A=1"));
  EXPECT_NE(with({"*"}, "A=1"), with({"*"}, "A=2"));
}

TEST(BuildInputs, ChangeWithEverythingThatTheBuildIsGiven) {
  const std::vector<std::function<void(Build&)>> changes{
      [](Build& b) { b.tree->add_file("src/main.c", "int nain;"); },
      [](Build& b) { b.tree->add_file("src/main.c", "int main;", 0755); },
      [](Build& b) { b.tree->add_file("src/new.c", ""); },
      [](Build& b) { b.tree->add_symlink("src/main.c", "int main;"); },
      [](Build& b) { b.tree->add_file("keep.log", "changed"); },
      [](Build& b) { b.tree->add_file("Dockerfile", "FROM busybox\nCOPY src /\n"); },
      [](Build& b) { b.ignore_file = "node_modules\n"; },
      [](Build& b) {
        b.tree->add_file("web.Dockerfile", "FROM busybox\nCOPY . /\n");
        b.target.dockerfile = "web.Dockerfile";
      },
      [](Build& b) { b.target.options.target = "t"; },
      [](Build& b) { b.target.options.platform = "t"; },
      [](Build& b) { b.target.options.labelled_source = "https://h/o/r.git"; },
      [](Build& b) { b.target.options.arguments = {{"A", "2"}}; },
      [](Build& b) { b.variables.arguments["A"] = "2"; },
      [](Build& b) { b.variables.arguments = {{"A1", ""}}; },
      [](Build& b) { b.variables.secrets.at("TOKEN") = Secret("other"); },
      [](Build& b) { b.variables.secrets.clear(); },
      [](Build& b) { b.key = Secret("other"); },
  };
  std::set<std::string> seen{unchanged()};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    EXPECT_TRUE(seen.insert(after(changes[i])).second) << "change " << i;
  }
}

TEST(BuildInputs, AHiddenDockerfileCountsAllTheSame) {
  const auto hidden = [](std::string text) {
    return after([&](Build& b) {
      b.ignore_file += "Dockerfile\n";
      b.tree->add_file("Dockerfile", std::move(text));
    });
  };
  EXPECT_NE(hidden("FROM a\n"), hidden("FROM b\n"));
}

TEST(BuildInputs, AreNotKnownWhenItIsStoppedOrCannotBeRead) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(Build().inputs(stop.get_token()).error().kind, ErrorKind::cancelled);
  Build gone;
  gone.target.dockerfile = "missing";
  EXPECT_FALSE(gone.inputs());
}

}  // namespace
}  // namespace builder::build
