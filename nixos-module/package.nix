# The vmsecretd package: programs, man pages, completions, and the systemd units with store paths.
#
# For nixpkgs this would change: `src` is fetched and `npmDepsHash` set, in place of ./npm-sources.nix, which takes the hashes of
# package-lock.json (its `resolved` addresses are left out, .npmrc); the programs of host-programs.json are written out, because
# nixpkgs evaluates nothing that is fetched; `passthru.tests` is nixosTests.vmsecretd.
{
  buildNpmPackage,
  callPackage,
  coreutils,
  getent,
  importNpmLock,
  installShellFiles,
  lib,
  nodejs,
  systemd,
  testers ? null,
  util-linux,
  versionCheckHook,
}:
let
  sources = callPackage ./npm-sources.nix { };
  root = ../.;
  # What the daemon runs by name.
  hostPrograms = lib.attrVals (lib.unique (lib.attrValues (lib.importJSON ../src/system/host-programs.json))) {
    inherit
      coreutils
      getent
      systemd
      util-linux
      ;
  };
in
buildNpmPackage (finalAttrs: {
  pname = "vmsecretd";
  inherit (sources.package) version;

  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      ../LICENSE
      ../build
      # What writes the man pages, and the pages that vmsecretctl names.
      (lib.fileset.fileFilter (file: file.hasExt "ts" || file.hasExt "md") ../docs)
      ../package-lock.json
      ../package.json
      ../src
      ../systemd
      ../tsconfig.json
    ];
  };

  inherit nodejs;
  npmDeps = importNpmLock {
    inherit (sources) package packageLock packageSourceOverrides;
  };
  inherit (importNpmLock) npmConfigHook;
  npmFlags = [ "--ignore-scripts" ];

  nativeBuildInputs = [ installShellFiles ];
  makeWrapperArgs = [
    "--prefix"
    "PATH"
    ":"
    (lib.makeBinPath hostPrograms)
  ];

  postInstall = ''
    # They are in dist/bundle.
    rm -r $out/lib/node_modules/vmsecretd/node_modules

    installManPage dist/share/man/man*/*
    installShellCompletion --cmd vmsecretctl \
      --bash dist/share/bash-completion/completions/vmsecretctl \
      --zsh dist/share/zsh/site-functions/_vmsecretctl \
      --fish dist/share/fish/vendor_completions.d/vmsecretctl.fish

    ln -s ${lib.getExe finalAttrs.passthru.launch} $out/bin/vmsecretd-launch
    install -Dm644 systemd/vmsecretd.sysusers $out/lib/sysusers.d/vmsecretd.conf
    install -Dm644 systemd/vmsecretd.tmpfiles $out/lib/tmpfiles.d/vmsecretd.conf
    install -Dm644 -t $out/lib/systemd/system systemd/*.{service,socket,target}
    sed -i \
      -e "s#/usr/local/lib/vmsecretd#$out/lib/node_modules/vmsecretd#" \
      -e "s#/usr/local/#$out/#g" \
      -e "s#/bin/kill#${coreutils}/bin/kill#" \
      $out/lib/systemd/system/*
    if grep -nE '^Exec[A-Za-z]*=[-@:+!]*/(usr|bin|sbin)/' $out/lib/systemd/system/*; then
      echo "a unit runs a program that is in no store path" >&2
      exit 1
    fi
    # microvm.nix has a template of this name: ./unit-template.nix installs it, under the name that is free.
    install -Dm644 -t $out/share/vmsecretd $out/lib/systemd/system/microvm@.service
    rm $out/lib/systemd/system/microvm@.service
  '';

  doInstallCheck = true;
  nativeInstallCheckInputs = [ versionCheckHook ];

  passthru = {
    # A package of its own, because runners of VMs refer to it: a new vmsecretd changes no runner.
    launch = callPackage ./launch.nix { };
    tests = lib.optionalAttrs (testers != null) { vm = testers.runNixOSTest ./vm-test.nix; };
  };

  meta = {
    description = "Starts cloud-hypervisor VMs with their age secrets, and keeps the secrets nowhere else";
    license = lib.licenses.mit;
    mainProgram = "vmsecretd";
    platforms = [ "x86_64-linux" ];
    maintainers = [ ];
  };
})
