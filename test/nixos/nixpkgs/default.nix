# In place of nixpkgs, for tests without a network: takes nixpkgs' own lib and gives the few functions and packages that the host's
# modules, microvm.nix and ../../../nixos-module use. A package has the programs that nixpkgs' package of that name has, and no other,
# as links to Debian's: a program that a unit's PATH lacks on NixOS is missing here, too. Builders run bash outside a sandbox.
{
  lib,
  # vmsecretd's source tree, built (npm ci && npm run build).
  projectRoot,
  # A kernel for guests, in place of Linux.
  guestKernel ? "/dev/null",
}:
let
  system = "x86_64-linux";
  shell = "/bin/bash";

  # Functions of nixpkgs' stdenv and hooks that package.nix and guest.nix call.
  prelude = ''
    patchShebangs() { :; }
    substituteInPlace() {
      local files=()
      while [ $# -gt 0 ] && [ "''${1#--}" = "$1" ]; do files+=("$1"); shift; done
      while [ $# -gt 0 ]; do
        [ "$1" = --replace-fail ] || { echo "substituteInPlace: $1" >&2; return 1; }
        for file in "''${files[@]}"; do
          grep -qF -- "$2" "$file" || { echo "substituteInPlace: $file has no $2" >&2; return 1; }
          FROM=$2 TO=$3 perl -0pi -e 's/\Q$ENV{FROM}\E/$ENV{TO}/g' "$file"
        done
        shift 3
      done
    }
    installManPage() {
      local page
      for page; do install -Dm644 -t "$out/share/man/man''${page##*.}" "$page"; done
    }
    installShellCompletion() {
      [ "$1" = --cmd ] && local name=$2 && shift 2
      while [ $# -gt 0 ]; do
        case $1 in
          --bash) install -Dm644 "$2" "$out/share/bash-completion/completions/$name.bash" ;;
          --zsh) install -Dm644 "$2" "$out/share/zsh/site-functions/_$name" ;;
          --fish) install -Dm644 "$2" "$out/share/fish/vendor_completions.d/$name.fish" ;;
        esac
        shift 2
      done
    }
  '';

  runCommand =
    name: env: script:
    let
      inputs = lib.filter (input: input ? outPath) (env.nativeBuildInputs or [ ]);
      drv = derivation (
        removeAttrs env [
          "__structuredAttrs"
          "meta"
          "nativeBuildInputs"
          "passthru"
          "unsafeDiscardReferences"
        ]
        // {
          inherit name system;
          script = prelude + script;
          builder = shell;
          args = [
            "-euc"
            ''eval "$script"''
          ];
          PATH = "${lib.makeBinPath inputs}:/usr/bin:/bin";
        }
      );
    in
    drv
    // {
      meta = env.meta or { };
      passthru = env.passthru or { };
      overrideAttrs = change: runCommand name (env // change { configureFlags = [ ]; }) script;
    }
    // (env.passthru or { });

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
    }:
    runCommand name
      {
        inherit text;
        passAsFile = [ "text" ];
        meta.mainProgram = name;
      }
      ''
        mkdir -p "$(dirname "$out${destination}")"
        install -m ${if executable then "0755" else "0644"} "$textPath" "$out${destination}"
      '';
  writeText = name: text: writeTextFile { inherit name text; };
  withShell = text: "#!${shell}\n${text}";

  # The programs of a package, as links to Debian's.
  package =
    pname: version: programs:
    runCommand "${pname}-${version}"
      {
        passthru = { inherit pname version; };
        # The first of a package's programs, as most packages have it.
        meta.mainProgram = lib.head (programs ++ [ pname ]);
      }
      ''
        mkdir -p $out/bin
        for program in ${toString programs}; do ln -s "/usr/bin/$program" "$out/bin/$program"; done
      '';
  packages = lib.mapAttrs (pname: package pname "1.0") (import ./programs.nix);

  # Programs of our own, where Debian's release has none that does.
  scripts = lib.mapAttrs (
    name: text:
    writeTextFile {
      inherit name;
      text = withShell text;
      executable = true;
      destination = "/bin/${name}";
    }
  );

  pkgs =
    packages
    // scripts {
      # A microvm.nix VM has a store disk, which the test's guest does not read.
      time = ''exec "$@"'';
      bubblewrap = "exit 1";
    }
    // {
      inherit
        lib
        runCommand
        writeText
        writeTextFile
        ;
      inherit (lib) fetchers;
      _type = "pkgs";
      path = ./.;
      callPackage = lib.callPackageWith pkgs;
      buildPackages = pkgs;
      runCommandLocal = runCommand;
      runtimeShell = shell;
      stdenv = rec {
        hostPlatform = lib.systems.elaborate system;
        targetPlatform = hostPlatform;
      };
      inherit system;

      writeShellScript =
        name: text:
        writeTextFile {
          inherit name;
          text = withShell text;
          executable = true;
        };
      writeShellScriptBin =
        name: text:
        writeTextFile {
          inherit name;
          text = withShell text;
          executable = true;
          destination = "/bin/${name}";
        };
      writeClosure = paths: writeText "closure" (lib.concatMapStrings (path: "${path}\n") paths);
      closureInfo =
        { rootPaths }:
        runCommand "closure-info" { } ''
          mkdir $out
          echo ${toString rootPaths} >$out/registration
        '';
      formats.json = _: {
        type =
          let
            json = lib.types.nullOr (
              lib.types.oneOf [
                lib.types.bool
                lib.types.int
                lib.types.float
                lib.types.str
                lib.types.path
                (lib.types.attrsOf json)
                (lib.types.listOf json)
              ]
            );
          in
          json // { description = "JSON value"; };
        generate = name: value: writeText name (builtins.toJSON value);
      };

      cloud-hypervisor = package "cloud-hypervisor" "53.0" [
        "cloud-hypervisor"
        "ch-remote"
      ];
      cloud-hypervisor-graphics = package "cloud-hypervisor" "53.0-graphics" [
        "cloud-hypervisor"
        "ch-remote"
      ];
      qemu =
        let
          qemu = package "qemu" "7.2" [ "qemu-system-x86_64" ];
        in
        qemu
        // {
          configureFlags = [ "--enable-seccomp" ];
          override = _: pkgs.qemu;
          overrideAttrs = _: pkgs.qemu;
        };
      qemu_kvm = pkgs.qemu;
      erofs-utils = (scripts { "mkfs.erofs" = ''truncate -s 1M "''${@: -2:1}"''; })."mkfs.erofs";
      util-linux = runCommand "util-linux" { } ''
        mkdir $out
        cp -r ${package "util-linux" "2.41" (import ./programs.nix).util-linux}/bin $out/bin
        chmod +w $out/bin
        # Debian 12 has it not.
        printf '#!/bin/sh\nexec tail --pid="$1" -f /dev/null\n' >$out/bin/waitpid
        chmod +x $out/bin/waitpid
      '';
      linux.target = "bzImage";
      linuxPackages.kernel = rec {
        version = "6.12";
        dev = runCommand "linux-dev" { } "mkdir $out; cp ${guestKernel} $out/vmlinux; ln -s vmlinux $out/bzImage";
        out = dev;
        outPath = "${dev}";
      };

      importNpmLock = {
        __functor = _: sources: {
          type = "npm-deps";
          names = lib.attrNames sources.packageSourceOverrides;
        };
        npmConfigHook = "npmConfigHook";
      };
      mkShell = { packages }: runCommand "shell" { nativeBuildInputs = packages; } "touch $out";
      testers.runNixOSTest = test: runCommand "vm-test" { inherit test; } "touch $out";
      installShellFiles = "installShellFiles";
      makeWrapper = "makeWrapper";
      versionCheckHook = "versionCheckHook";
      buildNpmPackage = import ./build-npm-package.nix {
        inherit
          lib
          projectRoot
          runCommand
          ;
      };
    };
in
pkgs
