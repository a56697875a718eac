# The vmsecretd package: the daemon, vmsecretctl and vmsecretd-launch.
# No npmDepsHash: package-lock.json already has the hash of every dependency, and ./npm-sources.nix fetches each by it.
{
  buildNpmPackage,
  callPackage,
  importNpmLock,
  lib,
  nodejs,
}:
let
  sources = callPackage ./npm-sources.nix { };
  root = ../.;
in
buildNpmPackage {
  pname = "vmsecretd";
  inherit (sources.package) version;

  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      ../LICENSE
      # What writes the man pages, and the pages that vmsecretctl names.
      (lib.fileset.fileFilter (file: file.hasExt "ts" || file.hasExt "md") ../docs)
      ../package-lock.json
      ../package.json
      ../src
      ../systemd/vmsecretd-launch
      ../tsconfig.json
    ];
  };

  inherit nodejs;
  npmDeps = importNpmLock {
    inherit (sources) package packageLock packageSourceOverrides;
  };
  inherit (importNpmLock) npmConfigHook;
  npmFlags = [ "--ignore-scripts" ];

  postInstall = ''
    cp -r dist/share $out/share
    ln -s ${callPackage ./launch.nix { }}/bin/vmsecretd-launch $out/bin/vmsecretd-launch
  '';

  meta = {
    description = "Starts cloud-hypervisor VMs with their age secrets, and keeps the secrets nowhere else";
    license = lib.licenses.mit;
    mainProgram = "vmsecretd";
    platforms = [ "x86_64-linux" ];
  };
}
