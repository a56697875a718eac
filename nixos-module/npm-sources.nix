# What importNpmLock takes: package.json and package-lock.json cut down to what a build needs, and a source for each dependency.
# The lock file has no `resolved` addresses (.npmrc), which importNpmLock would need: npm itself fetches each tarball, from the
# registry it is configured for, as a fixed-output derivation with the lock file's own `integrity`.
{
  cacert,
  lib,
  nodejs,
  runCommand,
}:
let
  manifest = lib.importJSON ../package.json;
  lock = lib.importJSON ../package-lock.json;
  inherit (import ./pure/npm-lock.nix { inherit lock manifest; }) package packageLock tarballs;

  fetchTarball =
    _:
    {
      fileName,
      integrity,
      spec,
    }:
    runCommand fileName
      {
        nativeBuildInputs = [
          cacert
          nodejs
        ];
        impureEnvVars = lib.fetchers.proxyImpureEnvVars;
        outputHash = integrity;
        outputHashMode = "flat";
      }
      ''
        export HOME=$TMPDIR
        npm pack --silent --ignore-scripts ${lib.escapeShellArg spec}
        mv ./*.tgz $out
      '';
in
{
  inherit package packageLock;
  packageSourceOverrides = lib.mapAttrs fetchTarball tarballs;
}
