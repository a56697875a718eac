# Puts one JSON file a VM under /etc/vmsecretd/vms, each checked at build time by the daemon's own program.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.vmsecretd;
  toDefinition = import ./pure/definition.nix;
  evaluatedVm = import ./pure/evaluated-vm.nix;

  # A VM of QEMU, whose launcher names the program; another whose own config names another cloud-hypervisor than the host's runs on
  # that one.
  programOf =
    name:
    let
      guest = evaluatedVm name config.microvm.vms.${name};
      inherit (guest.config.vmsecretd.microvm.cloudHypervisor) package;
    in
    if config.microvm.vms ? ${name} && guest != null && guest.config.microvm.hypervisor == "qemu" then
      { hypervisor = "qemu"; }
    else
      lib.optionalAttrs
      (
        config.microvm.vms ? ${name}
        && guest != null
        && guest.config ? vmsecretd.microvm
        && "${package}" != "${cfg.cloudHypervisor.package}"
      )
      { program = lib.getExe' package "cloud-hypervisor"; };

  ofMicrovm =
    name: microvm:
    toDefinition (
      programOf name
      // removeAttrs microvm [ "isolate" ]
      // {
        supervisor = "unit";
        unit = "microvm@${name}.service";
      }
    );
  ofVm =
    name: vm:
    toDefinition (
      vm
      // lib.optionalAttrs (cfg.unitNames ? ${name}) {
        supervisor = "unit";
        unit = cfg.unitNames.${name};
      }
    );

  # The configuration of a VM of microvm.nix; null for any other.
  guestOf =
    name:
    if cfg.microvms ? ${name} && config.microvm.vms ? ${name} then
      (evaluatedVm name config.microvm.vms.${name}).config
    else
      null;

  # The command line is for the release that runs it; a package of a version that is no release is read as the newest that is known.
  forRelease =
    let
      version = cfg.cloudHypervisor.package.version or "";
    in
    lib.optionalString (builtins.match "[0-9]+(\\.[0-9]+){0,2}" version != null) "--for ${version}";

  # As the VM's launcher does.
  nameStoreDisk =
    guest:
    let
      imageType = guest.vmsecretd.microvm.storeDiskImageType or null;
    in
    lib.optionalString (guest != null && imageType != null) (
      import ./pure/store-disk-text.nix {
        inherit imageType;
        path = toString guest.microvm.storeDisk;
      }
    );

  # KIND:PATH of each file in the Nix store that has to be encrypted.
  encryptedFilesOf =
    source:
    map (kind: "${kind}:${source.${kind}}") (
      lib.filter (kind: lib.hasPrefix builtins.storeDir (source.${kind} or "")) [
        "age"
        "sops"
        "systemdCredential"
      ]
    );

  # `check` takes the VM's name from the file's name. Encrypted files of the host itself are not there at build time.
  checkedFile =
    name: definition:
    let
      guest = guestOf name;
    in
    pkgs.runCommand "vmsecretd-definition-${name}"
      {
        nativeBuildInputs = [
          cfg.package
          pkgs.nodejs
        ];
        vm = name;
        definition = builtins.toJSON definition;
        passAsFile = [ "definition" ];
        encryptedFiles = lib.concatMap encryptedFilesOf (lib.attrValues (definition.credentials or { }));
        runner = if guest == null then null else guest.microvm.declaredRunner;
        preferLocalBuild = true;
      }
      ''
        mkdir $out
        cp "$definitionPath" "$out/$vm.json"
        vmsecretd check --other-host ${forRelease} "$out/$vm.json"

        isEncrypted() { # KIND FILE
          case $1 in
            age)
              case $(head -c 64 "$2" | tr -d '\0 \t\r\n') in
                age-encryption.org/* | -----BEGINAGEENCRYPTEDFILE-----*) ;;
                *) return 1 ;;
              esac
              ;;
            sops) grep -q 'ENC\[AES256_GCM,' "$2" && grep -qE '(^sops:|^\[sops\]|^sops_mac=|"sops":)' "$2" ;;
            # Behind an ID of 16 bytes: sizes of AES-256-GCM, as 32-bit numbers.
            systemdCredential)
              base64 -d "$2" 2>/dev/null | od -An -tx1 -j16 -N16 | tr -d ' \n' | grep -q '^20000000010000000c00000010000000$'
              ;;
          esac
        }
        for entry in $encryptedFiles; do
          file=''${entry#*:} kind=''${entry%%:*}
          if ! isEncrypted "$kind" "$file"; then
            case $kind in
              age) what='age file' how='age -R /etc/ssh/ssh_host_ed25519_key.pub' ;;
              sops) what='sops file' how='sops encrypt -i' ;;
              systemdCredential) what='file of systemd-creds' how='systemd-creds encrypt' ;;
            esac
            echo "VM $vm: $file is no $what: every user can read its content in the Nix store." >&2
            echo "Encrypt it ($how), take the plaintext out of the store" >&2
            echo "(nix-store --delete $file), and replace the secret if others could read it." >&2
            exit 1
          fi
        done

        # The command line that microvm-run executes, extraArgs included, as the daemon will read it.
        if [ -n "''${runner-}" ]; then
          line=$(grep '^exec .*/bin/\(cloud-hypervisor\|qemu-system-x86_64\) ' "$runner/bin/microvm-run")
          runtime_args=
          eval "set -- ''${line#exec }"
          if [ "$1" = -a ]; then shift 2; fi
          ${nameStoreDisk guest}
          mkdir command
          node -p 'const [file, , ...command] = process.argv.slice(1); JSON.stringify({ ...JSON.parse(fs.readFileSync(file)), command })' \
            -- "$definitionPath" "$@" >"command/$vm.json"
          vmsecretd check --other-host ${forRelease} "command/$vm.json"
        fi
      '';
in
{
  config = lib.mkIf cfg.enable {
    services.vmsecretd.definitions =
      lib.mapAttrs ofVm cfg.vms // lib.mapAttrs ofMicrovm cfg.microvms;

    environment.etc = lib.mapAttrs' (
      name: definition:
      lib.nameValuePair "vmsecretd/vms/${name}.json" {
        source = "${checkedFile name definition}/${name}.json";
      }
    ) cfg.definitions;

    # A reload reads the definitions again; running VMs stay, and show as outdated. One trigger that is there without any VM, too: the
    # key has to stay in the unit for its change to be a reload.
    systemd.services.vmsecretd.reloadTriggers = [
      (builtins.toJSON (
        lib.mapAttrs (name: _: config.environment.etc."vmsecretd/vms/${name}.json".source) cfg.definitions
      ))
    ];
  };
}
