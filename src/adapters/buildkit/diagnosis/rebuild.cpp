#include "adapters/buildkit/diagnosis/rebuild.hpp"

#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t k_manifest_limit = std::size_t{1} << 20U;
constexpr std::size_t k_longest_command = 60;
constexpr std::size_t k_longest_name = 60;
constexpr std::size_t k_named_files = 2;

/// A command that installs dependencies.
struct Installer {
  /// The words it begins with, several ways to write it.
  std::vector<std::string_view> commands;
  /// What it reads in its folder, as far as it is there; patterns of fnmatch(3). Without any it
  /// reads nothing of the source.
  std::vector<std::string_view> files;
  /// Names of files that, anywhere in the context, may be read as well.
  std::vector<std::string_view> elsewhere;
  /// What has to be added to the command where the sources are not there yet; empty: nothing.
  std::string_view flags = {};
  /// What a manifest holds when it refers to further files of the source.
  std::vector<std::string_view> refers = {};
};

const std::vector<Installer>& installers() {
  static const std::vector<Installer> k_installers{
      {.commands = {"npm ci", "npm install", "npm i", "npm clean-install"},
       .files = {"package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"},
       .elsewhere = {"package.json", ".npmrc"},
       .refers = {R"("workspaces")", R"("file:)", R"("link:)", R"("portal:)", R"("workspace:)",
                  R"("patchedDependencies")", "yarnPath", "plugins:", "packages:"}},
      {.commands = {"pnpm install", "pnpm i"},
       .files = {"package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ".npmrc"},
       .elsewhere = {"package.json", ".npmrc", "*.patch", ".pnpmfile.cjs"},
       .refers = {R"("workspaces")", R"("file:)", R"("link:)", R"("portal:)", R"("workspace:)",
                  R"("patchedDependencies")", "yarnPath", "plugins:", "packages:"}},
      {.commands = {"yarn install", "yarn"},
       .files = {"package.json", "yarn.lock", ".yarnrc", ".yarnrc.yml"},
       .elsewhere = {"package.json", ".yarnrc", ".yarnrc.yml", ".npmrc", "*.patch", "*.cjs"},
       .refers = {R"("workspaces")", R"("file:)", R"("link:)", R"("portal:)", R"("workspace:)",
                  R"("patchedDependencies")", "yarnPath", "plugins:", "packages:"}},
      {.commands = {"bun install", "bun i"},
       .files = {"package.json", "bun.lock", "bun.lockb", "bunfig.toml"},
       .elsewhere = {"package.json", "*.patch"},
       .refers = {R"("workspaces")", R"("file:)", R"("link:)", R"("portal:)", R"("workspace:)",
                  R"("patchedDependencies")", "yarnPath", "plugins:", "packages:"}},
      {.commands = {"pip install", "pip3 install", "python -m pip install",
                    "python3 -m pip install", "uv pip install"},
       .files = {"requirements*.txt", "constraints*.txt"},
       .elsewhere = {"*requirements*", "*constraints*", "pyproject.toml", "setup.py", "setup.cfg"},
       .refers = {"-e ", "-r ", "-c ", "./", "../", "file:", "--editable", "--requirement",
                  "--constraint"}},
      {.commands = {"poetry install"},
       .files = {"pyproject.toml", "poetry.lock", "poetry.toml"},
       .elsewhere = {"pyproject.toml"},
       .flags = "--no-root",
       .refers = {"path =", "path=", "develop ="}},
      {.commands = {"uv sync"},
       .files = {"pyproject.toml", "uv.lock", ".python-version"},
       .elsewhere = {"pyproject.toml"},
       .flags = "--no-install-project",
       .refers = {"path =", "path=", "workspace"}},
      {.commands = {"pipenv install", "pipenv sync"},
       .files = {"Pipfile", "Pipfile.lock"},
       .elsewhere = {"setup.py", "pyproject.toml"},
       .refers = {"path =", "path=", "editable"}},
      {.commands = {"bundle install", "bundle"},
       .files = {"Gemfile", "Gemfile.lock", ".ruby-version", ".tool-versions"},
       .elsewhere = {"Gemfile*", "*.gemspec", "gems.rb", "gems.locked"},
       .refers = {"gemspec", "path:", "path ", ":path", "eval_gemfile", "File."}},
      {.commands = {"composer install"},
       .files = {"composer.json", "composer.lock", "auth.json"},
       .elsewhere = {"composer.json"},
       .flags = "--no-scripts --no-autoloader",
       .refers = {R"("path")", R"("artifact")"}},
      {.commands = {"go mod download"},
       .files = {"go.mod", "go.sum"},
       .elsewhere = {"go.mod", "go.sum", "go.work", "go.work.sum"},
       .refers = {"=> .", "=> /", "use "}},
      {.commands = {"mvn dependency:go-offline", "mvn dependency:resolve",
                    "mvn -B dependency:go-offline", "./mvnw dependency:go-offline",
                    "./mvnw dependency:resolve"},
       .files = {"pom.xml", "mvnw", ".mvn"},
       .elsewhere = {"pom.xml", "mvnw", "settings.xml", "maven-wrapper.*", "*.config"},
       .refers = {"<module>", "relativePath", "<systemPath>"}},
      {.commands = {"dotnet restore"},
       .files = {"*.csproj", "*.fsproj", "*.vbproj", "*.sln", "*.slnx", "[Nn]u[Gg]et.[Cc]onfig",
                 "Directory.*.props", "packages.lock.json", "global.json"},
       .elsewhere = {"*.csproj", "*.fsproj", "*.vbproj", "*.sln", "*.slnx", "*.props", "*.targets",
                     "[Nn]u[Gg]et.[Cc]onfig", "packages.lock.json", "global.json"},
       .refers = {"ProjectReference", "Project(", "<Project Path", "<Import", "HintPath"}},
      {.commands = {"mix deps.get"},
       .files = {"mix.exs", "mix.lock"},
       .elsewhere = {"mix.exs", "mix.lock"},
       .refers = {"path:", "in_umbrella", "import "}},
      {.commands = {"apt-get install", "apt install", "apk add", "dnf install", "yum install",
                    "microdnf install", "apt-get update"},
       .files = {},
       .elsewhere = {}},
  };
  return k_installers;
}

bool matches(std::string_view pattern, const std::string& text) {
  return ::fnmatch(std::string(pattern).c_str(), text.c_str(), FNM_PATHNAME) == 0;
}

std::string_view name_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string in_folder(std::string_view folder, std::string_view name) {
  return folder.empty() ? std::string(name) : fmt::format("{}/{}", folder, name);
}

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = std::min(text.find(by), text.size());
    if (const auto part = trimmed(text.substr(0, end)); !part.empty()) {
      parts.push_back(part);
    }
    if (end == text.size()) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

/// What a RUN runs, without its flags.
std::string shell_text(const Instruction& run) {
  return fmt::format("{}", fmt::join(parts_of(run.text).words, " "));
}

/// The commands of a RUN in the shell's form, one after the other; nullopt when more than `&&` and
/// `;` holds them together: what such a text does, nobody says without a shell.
std::optional<std::vector<std::string>> commands_of(const Instruction& run) {
  std::string text = shell_text(run);
  // Commands are quoted in part; a part of a secret is not known as one.
  constexpr std::array<std::string_view, 7> k_secrets{"://",  "token", "passw", "secret",
                                                      "auth", "key",   "cred"};
  const std::string lower = lower_case(text);
  if (std::ranges::any_of(k_secrets, [&](std::string_view word) { return lower.contains(word); })) {
    return std::nullopt;
  }
  constexpr std::array<std::string_view, 10> k_shell{"$(", "`", "|",    "<",   ">",
                                                     "{",  "(", "for ", "if ", "while "};
  if (std::ranges::any_of(k_shell, [&](std::string_view word) { return text.contains(word); })) {
    return std::nullopt;
  }
  std::ranges::replace(text, '&', ';');
  std::vector<std::string> commands;
  for (std::string_view command : split(text, ';')) {
    // NODE_ENV=production npm ci
    for (auto first = command.substr(0, command.find(' '));
         first != command && first.contains('=') && !first.starts_with('-');
         first = command.substr(0, command.find(' '))) {
      command = trimmed(command.substr(first.size()));
    }
    commands.emplace_back(command);
  }
  return commands;
}

/// An installation that a RUN consists of, or begins with.
struct Installation {
  const Installer* installer = nullptr;
  std::string command;
  std::string folder;                   ///< Below the working directory.
  std::vector<std::string> named = {};  ///< The only files it reads, where it names them.
  bool has_more = false;                ///< Other commands follow in the same RUN.
};

bool begins_with(std::string_view command, std::string_view words) {
  return command == words || (command.starts_with(words) && command[words.size()] == ' ');
}

const Installer* installer_of(std::string_view command) {
  for (const Installer& installer : installers()) {
    for (const std::string_view words : installer.commands) {
      // `yarn build` is no installation, `yarn --frozen-lockfile` is one.
      const bool alone = !words.contains(' ');
      if (begins_with(command, words) &&
          (!alone || command == words || command[words.size() + 1] == '-')) {
        return &installer;
      }
    }
  }
  return nullptr;
}

/// Whether it is known what the installation reads: not where it names packages (`npm install
/// left-pad`, `pip install .`), or a folder that is not its own.
bool is_plain(Installation& installation) {
  const Installer& installer = *installation.installer;
  const auto words = split(installation.command, ' ');
  const bool is_pip = installer.files.front() == "requirements*.txt";
  const auto subcommand = std::ranges::find_if(words, [](std::string_view word) {
    return word.starts_with("install") || word == "sync" || word == "ci" || word == "i" ||
           word == "download" || word == "restore" || word.starts_with("deps.") ||
           word.starts_with("dependency:") || word == "clean-install";
  });
  constexpr std::array<std::string_view, 12> k_elsewhere{
      "--prefix",    "-C", "--cwd",       "--dir",        "-e",       "--editable",
      "--directory", "-w", "--workspace", "--workspaces", "--filter", "--project"};
  const bool is_elsewhere = std::ranges::any_of(words, [&](std::string_view word) {
    return std::ranges::any_of(k_elsewhere, [&](std::string_view flag) {
      return word == flag || word.starts_with(std::string(flag) + "=");
    });
  });
  if (is_elsewhere) {
    return false;
  }
  for (auto word = subcommand; word != words.end(); ++word) {
    if (word == subcommand || word->starts_with('-')) {
      continue;
    }
    const std::string_view before = *(word - 1);
    if (is_pip && (before == "-r" || before == "-c" || before == "--requirement")) {
      installation.named.emplace_back(*word);
      if (!std::ranges::any_of(installer.files, [&](std::string_view pattern) {
            return matches(pattern, std::string(*word));
          })) {
        return false;
      }
    } else if (!before.starts_with("--")) {
      return false;
    }
  }
  return !installation.named.empty() || !is_pip;
}

std::optional<Installation> installation_of(const Instruction& run) {
  const auto commands = commands_of(run);
  if (!commands) {
    return std::nullopt;
  }
  Installation installation;
  for (std::size_t i = 0; i < commands->size(); ++i) {
    const std::string& command = (*commands)[i];
    const auto words = split(command, ' ');
    if (words.front() == "cd" && words.size() == 2) {
      if (words[1].starts_with('/') || words[1].contains("..") || words[1].contains('$')) {
        return std::nullopt;
      }
      installation.folder = in_folder(installation.folder, words[1]);
      continue;
    }
    if (words.front() == "set" || words.front() == "corepack" || command == "npm config" ||
        command == "apt-get update" || command == "apt update" ||
        command.ends_with("install --upgrade pip")) {
      continue;
    }
    installation.installer = installer_of(command);
    if (installation.installer == nullptr) {
      return std::nullopt;  // It may make what the installation reads.
    }
    installation.command = command;
    installation.has_more = std::any_of(commands->begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                        commands->end(), [&](const std::string& next) {
                                          // What only cleans up behind the same installer belongs
                                          // to it.
                                          return !next.starts_with("rm ") &&
                                                 !next.starts_with("npm cache") &&
                                                 !next.starts_with("yarn cache") &&
                                                 !next.starts_with("apt-get clean") &&
                                                 installer_of(next) != installation.installer;
                                        });
    // System packages are named, and nothing of the source is read.
    return installation.installer->files.empty() || is_plain(installation)
               ? std::optional(installation)
               : std::nullopt;
  }
  return std::nullopt;
}

/// What a COPY or ADD takes out of the context, and where below the working directory it lands.
class Copied {
 public:
  explicit Copied(const Instruction& copy) {
    for (std::string source : context_sources(copy.text)) {
      while (source.starts_with("./") || source.starts_with('/')) {
        source.erase(0, source.find('/') + 1);
      }
      while (source.ends_with('/')) {
        source.pop_back();
      }
      sources_.push_back(source == "." ? "" : std::move(source));
    }
    const auto words = parts_of(copy.text).words;
    destination_ = words.empty() ? "" : words.back();
  }

  [[nodiscard]] bool has(const std::string& path) const {
    return std::ranges::any_of(sources_, [&](const std::string& source) {
      return source.empty() || path == source || path.starts_with(source + "/") ||
             matches(source, path);
    });
  }

  /// The folder of the context that becomes `folder` of the working directory; nullopt when that is
  /// not plain.
  [[nodiscard]] std::optional<std::string> origin_of(const std::string& folder) const {
    if (sources_.size() != 1 || sources_.front().find_first_of("*?[$") != std::string::npos) {
      return std::nullopt;
    }
    std::string_view below = destination_;
    if (below.starts_with("./")) {
      below.remove_prefix(2);
    }
    if (below.ends_with('/')) {
      below.remove_suffix(1);
    }
    if (below == "." || below.empty() || !destination_.starts_with('/')) {
      below = below == "." ? "" : below;
      // COPY web web; RUN cd web && npm ci
      if (below.empty()) {
        return in_folder_of(sources_.front(), folder);
      }
      if (folder == below || folder.starts_with(std::string(below) + "/")) {
        return in_folder_of(sources_.front(),
                            folder == below ? "" : folder.substr(below.size() + 1));
      }
      return std::nullopt;
    }
    // An absolute folder is mostly the working directory's; the files that are looked for decide.
    return in_folder_of(sources_.front(), folder);
  }

 private:
  static std::string in_folder_of(const std::string& source, const std::string& folder) {
    return folder.empty() ? source : in_folder(source, folder);
  }

  std::vector<std::string> sources_;
  std::string destination_;
};

/// The instructions before and with `last` that its result is made of, through the stages of the
/// same file that its stage is made of.
std::vector<const Instruction*> chain_of(const Dockerfile& dockerfile, const Instruction& last) {
  std::vector<const Instruction*> chain;
  std::string stage = last.stage;
  const Instruction* before = &last + 1;
  const auto& all = dockerfile.instructions();
  // Each round goes to an earlier stage.
  for (bool more = true; more;) {
    more = false;
    std::vector<const Instruction*> own;
    for (const Instruction& each : all) {
      if (&each < before && each.stage == stage) {
        own.push_back(&each);
      }
    }
    if (own.empty() || own.front()->keyword != "FROM") {
      break;
    }
    chain.insert(chain.begin(), own.begin(), own.end());
    before = own.front();
    for (const std::string& image : named_images(*own.front())) {
      const std::string base = lower_case(image);
      if (base != stage) {
        more = std::ranges::any_of(all, [&](const Instruction& each) {
          return &each < before && each.keyword == "FROM" && each.stage == base;
        });
        stage = std::move(base);
      }
    }
  }
  return chain;
}

/// Which instruction each step is; of several for one, those that ran count.
using Steps = std::map<const Instruction*, RanStep>;

Steps steps_of(const Dockerfile& dockerfile, const std::vector<RanStep>& ran) {
  Steps steps;
  for (const RanStep& step : ran) {
    const StepPlace place = dockerfile.find_step(step.name);
    if (place.instruction == nullptr || !place.trigger.empty()) {
      continue;
    }
    const auto [found, is_new] = steps.emplace(place.instruction, step);
    if (!is_new && !step.cached) {
      found->second.cached = false;
      found->second.duration = std::max(found->second.duration, step.duration);
    }
  }
  return steps;
}

/// The COPY or ADD that was the first of the chain to run.
const Instruction* first_to_run(const std::vector<const Instruction*>& chain, const Steps& steps) {
  for (const Instruction* each : chain) {
    const auto step = steps.find(each);
    // Engines do not say of every base image that they had it.
    if (each->keyword == "FROM" || step == steps.end() || step->second.cached) {
      continue;
    }
    const bool copies = each->keyword == "COPY" || each->keyword == "ADD";
    return copies && !context_sources(each->text).empty() ? each : nullptr;
  }
  return nullptr;
}

/// npm and its kin run these, and they may need anything.
bool has_install_scripts(std::string_view text) {
  const auto manifest = parse_json(text);
  const auto scripts = manifest.is_object() ? manifest.find("scripts") : manifest.end();
  if (!manifest.is_object()) {
    return true;
  }
  constexpr std::array<const char*, 5> k_scripts{"preinstall", "install", "postinstall", "prepare",
                                                 "prepublish"};
  return scripts != manifest.end() && scripts->is_object() &&
         std::ranges::any_of(k_scripts, [&](const char* name) { return scripts->contains(name); });
}

/// Whether a manifest may name files of the source that it is installed with.
bool needs_more(const Installer& installer, const ports::SourceTree& context,
                const std::string& manifest) {
  const std::string_view name = name_of(manifest);
  if (name.contains("lock") || name.ends_with(".sum")) {
    return false;  // It repeats what the others say.
  }
  const auto text = ports::read_file(context, manifest, k_manifest_limit);
  return !text || (name == "package.json" && has_install_scripts(*text)) ||
         std::ranges::any_of(installer.refers,
                             [&](std::string_view word) { return text->contains(word); });
}

/// The files that the installation reads in its folder of the context.
std::vector<std::string> manifests_of(const Installation& installation,
                                      const ports::SourceTree& context, const std::string& folder) {
  std::vector<std::string> found;
  const auto entries = context.list(folder);
  if (!entries) {
    return found;
  }
  const std::vector<std::string_view> named(installation.named.begin(), installation.named.end());
  for (const std::string_view pattern : named.empty() ? installation.installer->files : named) {
    for (const ports::DirectoryEntry& entry : *entries) {
      if (matches(pattern, entry.name)) {
        found.push_back(in_folder(folder, entry.name));
      }
    }
  }
  return found;
}

std::string words_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += i == 0 ? "" : i + 1 == names.size() ? " and " : ", ";
    text += printable_line(names[i], k_longest_name);
  }
  return text;
}

std::string code(std::string_view text) {
  return fmt::format("`{}`", printable_line(text, k_longest_command));
}

/// "3 files changed (src/a.ts, src/b.ts, …)", "src/a.ts changed".
std::string changes_in_words(const std::vector<std::string>& changed) {
  if (changed.size() == 1) {
    return printable_line(changed.front(), k_longest_name) + " changed";
  }
  std::string names;
  for (std::size_t i = 0; i < std::min(changed.size(), k_named_files); ++i) {
    names += (i == 0 ? "" : ", ") + printable_line(changed[i], k_longest_name);
  }
  return fmt::format("{} files changed ({}{})", changed.size(), names,
                     changed.size() > k_named_files ? ", …" : "");
}

/// What the installation needs to be cached by itself.
struct Needed {
  std::vector<std::string> manifests;  ///< In the context.
  bool are_there_before = false;       ///< Before `copy`: the step only stands in the wrong place.
};

bool copies_all(const Instruction& copy, const std::vector<std::string>& paths) {
  const Copied copied(copy);
  return (copy.keyword == "COPY" || copy.keyword == "ADD") && !paths.empty() &&
         std::ranges::all_of(paths, [&](const std::string& path) { return copied.has(path); });
}

/// nullopt: it is not known.
std::optional<Needed> needed_by(const Installation& installation,
                                const std::vector<const Instruction*>& chain,
                                const Instruction& copy, const ports::SourceTree& context) {
  const Copied copied(copy);
  const auto origin = copied.origin_of(installation.folder);
  if (installation.installer->files.empty()) {
    // A single file that a system package's command is given may be what it reads.
    const auto source = origin ? context.stat(*origin) : Result<ports::FileInfo>();
    const bool is_folder =
        origin && (origin->empty() || (source && source->type == ports::FileType::directory));
    return is_folder ? std::optional(Needed{{}, true}) : std::nullopt;
  }
  for (const std::string& folder : {origin.value_or(installation.folder), installation.folder}) {
    Needed needed{.manifests = manifests_of(installation, context, folder)};
    needed.are_there_before = std::ranges::any_of(chain, [&](const Instruction* each) {
      return each < &copy && copies_all(*each, needed.manifests);
    });
    if (needed.are_there_before || (origin == folder && copies_all(copy, needed.manifests))) {
      return needed;
    }
  }
  return std::nullopt;
}

/// The line for one installation that ran; nullopt when it had to, or nobody knows.
std::optional<std::string> line_for(const Dockerfile& dockerfile, const Steps& steps,
                                    const Instruction& run, const RanStep& step,
                                    const std::vector<std::string>& all_changed,
                                    const ports::SourceTree& context) {
  const auto installation = installation_of(run);
  if (!installation || !context_sources(run.text).empty()) {
    return std::nullopt;
  }
  const Installer& installer = *installation->installer;
  const auto chain = chain_of(dockerfile, run);
  const Instruction* copy = first_to_run(chain, steps);
  if (copy == nullptr) {
    return std::nullopt;
  }
  const Copied copied(*copy);
  std::vector<std::string> changed;
  std::ranges::copy_if(all_changed, std::back_inserter(changed),
                       [&](const std::string& path) { return copied.has(path); });
  // Whatever else was copied before the step, and any file that the installer might look for.
  const bool may_matter = std::ranges::any_of(all_changed, [&](const std::string& path) {
    const auto named = [&](std::string_view pattern) {
      return matches(pattern, std::string(name_of(path)));
    };
    return std::ranges::any_of(installer.elsewhere, named) ||
           std::ranges::any_of(installer.files, named);
  });
  if (changed.empty() || may_matter) {
    return std::nullopt;
  }
  const auto needed = needed_by(*installation, chain, *copy, context);
  if (!needed) {
    return std::nullopt;
  }
  if (std::ranges::any_of(needed->manifests, [&](const std::string& manifest) {
        return needs_more(installer, context, manifest);
      })) {
    return std::nullopt;
  }
  const std::string alone =
      code(installation->command +
           (installer.flags.empty() ? "" : fmt::format(" {}", installer.flags))) +
      (installation->has_more ? " in a RUN of its own" : "");
  const std::string cure =
      needed->are_there_before
          ? fmt::format("Put {} before it to keep that step.", alone)
          : fmt::format("Copy {} first, run {}, and copy the rest behind it to keep that step.",
                        words_of(needed->manifests), alone);
  return fmt::format("{} (line {}) was not cached: {}. It made {} run again ({} s). {}",
                     code(copy->text), copy->lines.first, changes_in_words(changed),
                     code("RUN " + shell_text(run)),
                     std::chrono::round<std::chrono::seconds>(step.duration).count(), cure);
}

}  // namespace

std::optional<std::string> avoidable_rebuild(const Dockerfile& dockerfile, const CacheUse& use,
                                             const ports::SourceTree& context) {
  if (use.changed.empty()) {
    return std::nullopt;
  }
  const Steps steps = steps_of(dockerfile, use.steps);
  std::vector<std::pair<milliseconds, const Instruction*>> dear;
  for (const auto& [instruction, step] : steps) {
    if (instruction->keyword == "RUN" && !step.cached && step.duration > k_worth_telling) {
      dear.emplace_back(step.duration, instruction);
    }
  }
  std::ranges::sort(dear, std::greater());
  for (const auto& [duration, run] : dear) {
    if (auto line = line_for(dockerfile, steps, *run, steps.at(run), use.changed, context)) {
      return line;
    }
  }
  return std::nullopt;
}

}  // namespace builder::adapters::buildkit
