#include "domain/dockerignore.hpp"

namespace builder::domain {

std::string default_dockerignore() {
  return R"(.git
.gitignore
.gitattributes
.github
.gitlab-ci.yml
.vscode
.idea
.DS_Store
**/.DS_Store
node_modules
npm-debug.log*
yarn-debug.log*
yarn-error.log*
coverage
.nyc_output
tests
tmp
temp
logs
*.log
*.pem
*.key
Dockerfile*
docker-compose*.yml
.dockerignore
)";
}

}  // namespace builder::domain
