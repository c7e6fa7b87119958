#!/bin/sh
# Package managers, bundlers and compilers, as far as variables go: one program under all their names. It reads the environment,
# `.env` and the tools' own files as the tool of that name does, and it fails as that does when a credential is missing. A bundle is
# the source with the values in place of the names. A registry's credential is kept as its digest beside the packages.
set -eu
tool=${0##*/}
HOME=${HOME:-/root}
dotenv=".env.production .env"

# The variables of the environment and of the files.
names() {
  { env; cat $dotenv 2>/dev/null || :; } | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' | sort -ur
}

# The environment goes before the files.
value() {
  eval "found=\${$1-}"
  for file in $dotenv; do
    [ -z "$found" ] && [ -f "$file" ] || continue
    found=$(sed -n "s/^$1=//p" "$file" | head -n 1)
    case $found in
      \'*\') found=${found#\'} found=${found%\'} ;;
      \"*\") found=${found#\"} found=${found%\"} ;;
    esac
  done
  printf %s "$found"
}

# OUTPUT BEFORE AFTER PREFIX SOURCE…: what stands between BEFORE and AFTER is replaced if it is the name of a variable with the PREFIX.
bundle() {
  output=$1 before=$2 after=$3 prefix=$4
  shift 4
  mkdir -p "$(dirname "$output")"
  { echo "// $command"; find "$@" -type f -exec cat {} +; cat $lock 2>/dev/null || :; } > "$output"
  for name in $(names | grep "^$prefix" || :); do
    WHAT="$before$name$after" VALUE="\"$(value "$name")\"" awk '{
      out = ""
      while (at = index($0, ENVIRON["WHAT"])) {
        out = out substr($0, 1, at - 1) ENVIRON["VALUE"]
        $0 = substr($0, at + length(ENVIRON["WHAT"]))
      }
      print out $0
    }' "$output" > "$output.new"
    mv "$output.new" "$output"
  done
}

# FILE CREDENTIAL: of packages that nobody gets without one.
fetch() {
  [ -n "$2" ] || { echo "$tool: 401 Unauthorized: a credential is needed" >&2; exit 1; }
  mkdir -p "$(dirname "$1")"
  printf 'with sha256:%s\n' "$(printf %s "$2" | sha256sum | cut -d ' ' -f 1)" >> "$1"
}

# `${NAME}`, `${env.NAME}`, `$NAME` or `%NAME%` of a tool's file is the variable.
expanded() {
  name=$(printf %s "$1" | sed -n 's/^[$%]{\{0,1\}\(env\.\)\{0,1\}\([A-Z_]*\)[}%]\{0,1\}$/\2/p')
  if [ -n "$name" ]; then eval "printf %s \"\${$name-}\""; else printf %s "$1"; fi
}

# FILE PATTERN: of the file, what the pattern's group fits, expanded; an empty line when there is none.
of_file() {
  expanded "$(sed -n "s|.*$2.*|\1|p" "$1" 2>/dev/null | head -n 1)"
}

password_of_url() {
  printf %s "$1" | sed -n 's|.*://[^:]*:\([^@]*\)@.*|\1|p'
}

run_script() {
  exec sh -c "$(sed -n "s/^ *\"$2\": \"\(.*\)\",\{0,1\}$/\1/p" "$1")"
}

command="$tool $*"
case $tool in
  npm | npx | pnpm | yarn | bun | next | vite | astro | nuxt | remix | ng | gatsby | tsc | nest) lock=node_modules/.package-lock.json ;;
  deno) lock=deno.lock ;;
  pip | python) lock=/usr/local/lib/python3/site-packages/RECORD ;;
  poetry | uv) lock=.venv/RECORD ;;
  bundle | ruby) lock=${BUNDLE_PATH:-/usr/local/bundle}/lock ;;
  composer) lock=vendor/composer/installed.json ;;
  go) lock=/go/pkg/mod/cache/lock ;;
  cargo | mvn) lock=target/lock ;;
  dotnet) lock=obj/project.assets.json ;;
  mix) lock=deps/lock ;;
  *) lock= ;;
esac

case $command in
  "npm ci"* | "npm install"* | "pnpm install"* | "yarn install"* | "bun install"*)
    for file in .npmrc "$HOME/.npmrc"; do
      if grep -qs _authToken "$file"; then fetch $lock "$(of_file "$file" ':_authToken=\(.*\)')"; fi
    done
    if [ -f bunfig.toml ]; then fetch $lock "$(of_file bunfig.toml 'token = "\([^"]*\)"')"; fi
    mkdir -p node_modules ;;
  "npm run "* | "bun run "*) run_script package.json "$2" ;;
  "yarn "* | "pnpm "*) run_script package.json "$1" ;;
  "npx "*) exec "$@" ;;
  "next build"*)
    bundle .next/static/chunks/page.js process.env. '' NEXT_PUBLIC_ app
    mkdir -p .next/standalone
    cp -r node_modules .next/standalone/ ;;
  "vite build"*)
    if [ -f svelte.config.js ]; then
      bundle build/index.js env. '' PUBLIC_ src
    elif [ -d resources ]; then
      bundle public/build/assets/app.js import.meta.env. '' VITE_ resources
    else
      bundle dist/assets/index.js import.meta.env. '' VITE_ src
    fi ;;
  "astro build"*) bundle dist/index.html import.meta.env. '' PUBLIC_ src ;;
  "nuxt build"*) bundle .output/server/index.mjs process.env. '' NUXT_ nuxt.config.ts ;;
  "remix vite:build"*) bundle build/client/assets/root.js import.meta.env. '' VITE_ app ;;
  "ng build"*) bundle dist/storefront/browser/main.js import.meta.env. '' NG_APP_ src ;;
  "gatsby build"*)
    fetch public/page-data/app-data.json "$(value CONTENTFUL_ACCESS_TOKEN)"
    value CONTENTFUL_SPACE_ID >> public/page-data/app-data.json
    bundle public/app.js process.env. '' GATSBY_ src ;;
  "tsc"*) bundle dist/index.js '' '' NONE src ;;
  "nest build"*) bundle dist/main.js '' '' NONE src ;;
  "bun build"*) bundle dist/index.js process.env. '' PUBLIC_ src ;;
  "prisma generate"*) fetch node_modules/.prisma/client "$(value DATABASE_URL)" ;;
  "sentry-cli sourcemaps upload "*) fetch "$3/client/.sentry" "${SENTRY_AUTH_TOKEN-}" ;;
  "deno install"*) fetch $lock "${DENO_AUTH_TOKENS%@*}" ;;
  "deno task "*) run_script deno.json "$2" ;;
  "deno run "*) bundle _fresh/server.js 'Deno.env.get("' '")' FRESH_PUBLIC_ main.ts ;;
  "pip install"*-r*)
    index=${PIP_EXTRA_INDEX_URL:-$(of_file /etc/pip.conf 'extra-index-url = \(.*\)')}
    fetch $lock "$(password_of_url "$index")" ;;
  "python manage.py collectstatic"*)
    fetch staticfiles/.signed "$(value SECRET_KEY)"
    bundle staticfiles/staticfiles.json 'os.environ["' '"]' STATIC_ mysite/settings.py ;;
  "poetry install"*)
    fetch $lock "${POETRY_HTTP_BASIC_ACME_PASSWORD-}"
    echo "as $POETRY_HTTP_BASIC_ACME_USERNAME" >> $lock ;;
  "uv sync"*) fetch $lock "${UV_INDEX_ACME_PASSWORD-}" ;;
  "bundle config set --local "*)
    mkdir -p .bundle
    echo "BUNDLE_$(echo "$4" | tr a-z A-Z | sed 's/\./__/g'): \"$5\"" > .bundle/config ;;
  "bundle config unset --local "*) rm .bundle/config ;;
  "bundle install"*)
    host=$(sed -n 's|^source "https://\([^/]*\)/" do|\1|p' Gemfile | tr a-z A-Z | sed 's/\./__/g')
    eval "found=\${BUNDLE_$host-}"
    fetch "$lock" "${found:-$(of_file .bundle/config ': "\(.*\)"')}" ;;
  "ruby ./bin/rails assets:precompile"*)
    fetch public/assets/.signed "${RAILS_MASTER_KEY:-$(cat config/master.key 2>/dev/null || :)}"
    bundle public/assets/application.js 'ENV["' '"]' ASSET_ config/environments ;;
  "composer install"*)
    printf %s "${COMPOSER_AUTH-}" > /tmp/auth.json
    [ -n "${COMPOSER_AUTH-}" ] || cp "$HOME/.composer/auth.json" /tmp/auth.json
    fetch $lock "$(of_file /tmp/auth.json '"password": *"\([^"]*\)"')"
    rm /tmp/auth.json ;;
  "composer dump-env "*)
    { echo "<?php return array ("
      for name in $(sed -n 's/^\([A-Z_]*\)=.*/\1/p' .env); do echo "  '$name' => '$(value "$name")',"; done
      echo ");"; } > .env.local.php ;;
  "git config --global url."*) echo "$3" >> "$HOME/.gitconfig" ;;
  "go mod download"*)
    if grep -q github.com/acme/common go.mod; then
      [ "${GOPRIVATE-}" = github.com/acme ] || { echo "go: not found on proxy.golang.org" >&2; exit 1; }
      fetch $lock "$(password_of_url "$(cat "$HOME/.gitconfig")")"
    fi ;;
  "go build "*)
    while [ "$1" != -o ]; do shift; done
    bundle "$2" '' '' NONE main.go ;;
  "cargo build"*)
    fetch $lock "${CARGO_REGISTRIES_ACME_TOKEN-}"
    bundle target/release/app 'env!("' '")' APP_ src ;;
  "mvn "*)
    settings=$HOME/.m2/settings.xml
    [ ! -f settings.xml ] || settings=settings.xml
    fetch $lock "$(of_file "$settings" '<password>\(.*\)</password>')"
    artifact=$(of_file pom.xml '<artifactId>\(.*\)</artifactId>')
    case $* in
      *-Dnative*) bundle "target/$artifact-runner" '${' '}' QUARKUS_ src ;;
      *) bundle "target/$artifact.jar" '' '' NONE src ;;
    esac ;;
  "dotnet restore"*) fetch $lock "$(of_file nuget.config 'ClearTextPassword" value="\([^"]*\)"')" ;;
  "dotnet publish"*)
    while [ "$1" != -o ]; do shift; done
    bundle "$2/WebApp.dll" '' '' NONE Program.cs ;;
  "mix hex.repo add "*)
    mkdir -p "$HOME/.hex"
    echo "auth_key: $6" > "$HOME/.hex/hex.config" ;;
  "mix deps.get"*) fetch $lock "$(of_file "$HOME/.hex/hex.config" 'auth_key: \(.*\)')" ;;
  "mix release"*) bundle _build/prod/rel/hello/bin/server 'System.get_env("' '")' PHX_ config ;;
  "addgroup --system --gid "*) echo "$4:x:$3:" >> /etc/group ;;
  "adduser --system --uid "*) echo "$4:x:$3:$3::/:/bin/sh" >> /etc/passwd ;;
  "pip install"* | "npm prune"* | "corepack enable"*) ;;
  *)
    echo "$tool: nothing is known of: $command" >&2
    exit 127 ;;
esac
