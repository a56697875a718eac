#!/bin/sh
# npm run sbom: a bill of materials of what is used in production. npm's own --omit dev leaves out what a development
# dependency uses, too (npm/cli issue 7909), so npm is shown a lock file that has no development dependencies.
set -eu
cd "$(dirname "$0")/.."
temporary=$(mktemp -d)
trap 'rm -r "$temporary"' EXIT
# npm names the bill after the folder.
folder=$temporary/vmsecretd
mkdir "$folder"
# shellcheck disable=SC2016 # JavaScript, not shell
node -e '
  const { readFileSync, writeFileSync } = require("node:fs");
  for (const name of ["package.json", "package-lock.json"]) {
    const json = JSON.parse(readFileSync(name, "utf8"));
    delete json.devDependencies;
    delete json.packages?.[""].devDependencies;
    for (const [path, { dev }] of Object.entries(json.packages ?? {})) if (dev) delete json.packages[path];
    writeFileSync(`${process.argv[1]}/${name}`, JSON.stringify(json));
  }
' "$folder"
cd "$folder"
npm sbom --package-lock-only --sbom-format cyclonedx
