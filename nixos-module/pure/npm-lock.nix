# Takes package.json and package-lock.json, gives both without what only tests and linters need, and by path in the lock file each
# tarball's npm spec, file name and hash. Refuses a dependency without `integrity`.
{ lock, manifest }:
let
  # tsc compiles src/ with @types/node, esbuild bundles it, and @fastify/swagger writes openapi.json; each with what it depends on.
  buildDependencies = [
    "@esbuild/linux-x64"
    "@fastify/swagger"
    "@types/node"
    "debug"
    "esbuild"
    "fastify-plugin"
    "json-schema-resolver"
    "ms"
    "openapi-types"
    "typescript"
    "undici-types"
    "yaml"
  ];
  pickNames =
    names: attrs:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = attrs.${name};
      }) (builtins.filter (name: attrs ? ${name}) names)
    );
  withoutTools =
    attrs: attrs // { devDependencies = pickNames buildDependencies (attrs.devDependencies or { }); };

  # "node_modules/a/node_modules/@b/c" → "@b/c"
  nameAt = path: builtins.elemAt (builtins.match "(.*/)?node_modules/((@[^/]+/)?[^/]+)" path) 1;
  isNeeded = path: path == "" || !(lock.packages.${path}.dev or false) || builtins.elem (nameAt path) buildDependencies;
  packages = pickNames (builtins.filter isNeeded (builtins.attrNames lock.packages)) lock.packages;

  tarball =
    path:
    let
      entry = packages.${path};
      name = entry.name or (nameAt path);
    in
    {
      spec = "${name}@${entry.version}";
      fileName = "${builtins.replaceStrings [ "@" "/" ] [ "" "-" ] name}-${entry.version}.tgz";
      integrity = entry.integrity or (throw "package-lock.json: ${path} has no integrity");
    };
in
{
  package = withoutTools manifest;
  packageLock = lock // {
    packages = packages // {
      "" = withoutTools packages."";
    };
  };
  tarballs = builtins.listToAttrs (
    map (path: {
      name = path;
      value = tarball path;
    }) (builtins.filter (path: path != "") (builtins.attrNames packages))
  );
}
