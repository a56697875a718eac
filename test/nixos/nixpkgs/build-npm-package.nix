# In place of buildNpmPackage: the program is the one that npm run build made in the source tree; everything else of the package, its
# wrappers, postInstall and version check, is done as nixpkgs would. Only what its `src` has is there for postInstall.
{
  lib,
  projectRoot,
  runCommand,
}:
argument:
let
  attrs = if lib.isFunction argument then argument (attrs // { finalPackage = drv; }) else argument;
  # As makeWrapper takes them: --prefix NAME SEPARATOR VALUE.
  exports =
    arguments:
    if arguments == [ ] then
      ""
    else if lib.head arguments == "--prefix" then
      let
        name = lib.elemAt arguments 1;
        separator = lib.elemAt arguments 2;
        value = lib.elemAt arguments 3;
      in
      "export ${name}='${value}'\${${name}:+'${separator}'}\$${name}\n" + exports (lib.drop 4 arguments)
    else
      throw "build-npm-package.nix: makeWrapperArgs knows --prefix only";
  # What npm run build made of src/ and docs/: the rest would make a new package of each change to a test.
  built = builtins.path {
    name = "dist";
    path = projectRoot + "/dist";
    filter = path: _: builtins.match ".*/dist/(bundle|share)(/.*)?" path != null;
  };
  manifest = lib.importJSON (projectRoot + "/package.json");
  drv =
    runCommand "${attrs.pname}-${attrs.version}"
      {
        inherit (attrs) src;
        wrapper = exports (attrs.makeWrapperArgs or [ ]);
        npmDeps = builtins.toJSON attrs.npmDeps;
        passthru = {
          inherit (attrs) pname version;
          npmAttrs = attrs;
        }
        // (attrs.passthru or { });
        inherit (attrs) meta;
      }
      ''
        cp -r "$src" work
        chmod -R u+w work
        cd work
        cp -r ${built} dist
        chmod -R u+w dist
        mkdir -p "$out/lib/node_modules/${attrs.pname}" $out/bin
        cp package.json "$out/lib/node_modules/${attrs.pname}/"
        cp -r dist "$out/lib/node_modules/${attrs.pname}/"
        ln -s ${toString projectRoot}/node_modules "$out/lib/node_modules/${attrs.pname}/node_modules"
        ${lib.concatStrings (
          lib.mapAttrsToList (name: file: ''
            printf '#!/bin/sh\n%sexec /usr/bin/node %s "$@"\n' "$wrapper" \
              "$out/lib/node_modules/${attrs.pname}/${file}" >$out/bin/${name}
            chmod +x $out/bin/${name}
          '') manifest.bin
        )}
        ${attrs.postInstall or ""}
        ${lib.optionalString (attrs.doInstallCheck or false) ''
          $out/bin/${attrs.meta.mainProgram} --version | grep -F ${attrs.version}
        ''}
      '';
in
drv
