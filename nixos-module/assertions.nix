# Gathers what ./pure/problems.nix finds. Everything that is no mistake at evaluation is left to the check at build time.
{
  config,
  lib,
  options,
  ...
}:
let
  cfg = config.services.vmsecretd;
  problems = import ./pure/problems.nix;
  evaluatedVm = import ./pure/evaluated-vm.nix;
  # Not microvm.vms, which ./microvms.nix declares, too.
  hasMicrovmNix = options ? microvm.stateDir;
  microvmNames = lib.attrNames config.microvm.vms;

  # What the problems ask of a VM of microvm.nix; null where nothing evaluates it.
  factsOf =
    name:
    let
      vm = config.microvm.vms.${name};
      guest = evaluatedVm name vm;
      inherit (guest.config.microvm) cloud-hypervisor hypervisor;
      isQemu = hypervisor == "qemu";
      package = if isQemu then guest.config.microvm.qemu.package else cloud-hypervisor.package;
      pkgs = guest.pkgs or guest._module.args.pkgs or null;
    in
    if guest == null then
      null
    else
      {
        inherit hypervisor;
        # Of QEMU's own, `vmsecretd check` reads them.
        extraArgs = if isQemu then [ ] else cloud-hypervisor.extraArgs;
        oemStrings = if isQemu then [ ] else cloud-hypervisor.platformOEMStrings;
        machine = if isQemu then guest.config.microvm.qemu.machine else null;
        credentialFiles = lib.attrNames (guest.config.microvm.credentialFiles or { });
        graphics = guest.config.microvm.graphics.enable or false;
        system = if pkgs == null then null else pkgs.stdenv.hostPlatform.system;
        launcherFor = package.launcherFor or null;
        isDeclared = vm.flake == null && vm.evaluatedConfig == null;
      };

  perDefinition =
    kind:
    lib.concatLists (
      lib.mapAttrsToList (
        name: problems.definitionProblems "services.vmsecretd.${kind}.${name}" name
      ) cfg.${kind}
    );

  hasIdentities = cfg.settings.identities or [ ] != [ ];
  needsIdentity =
    vm:
    vm.identities or null == null
    && lib.any (source: source.age != null || source.sops != null) (lib.attrValues vm.credentials);
  withoutIdentity = lib.attrNames (lib.filterAttrs (_: needsIdentity) (cfg.vms // cfg.microvms));
in
{
  config = lib.mkMerge [
    {
      assertions = lib.optional (!cfg.enable) (
        problems.notEnabledProblem (lib.attrNames (cfg.vms // cfg.microvms))
      );
    }
    (lib.mkIf cfg.enable {
      assertions =
        perDefinition "vms"
        ++ perDefinition "microvms"
        ++ map (problems.identityProblem "services.vmsecretd.identityPaths") cfg.identityPaths
        ++ map (problems.identityProblem "services.vmsecretd.settings.identities") (
          cfg.settings.identities or [ ]
        )
        ++ map (problems.identityProblem "services.vmsecretd.settings.passphraseFiles") (
          cfg.settings.passphraseFiles or [ ]
        )
        ++ [ (problems.noIdentityProblem (lib.optionals (!hasIdentities) withoutIdentity)) ]
        ++ map problems.twiceProblem (lib.attrNames (builtins.intersectAttrs cfg.vms cfg.microvms))
        ++ (
          if hasMicrovmNix then
            map problems.wrongPlaceProblem (lib.attrNames (builtins.intersectAttrs cfg.vms config.microvm.vms))
            ++ lib.concatLists (
              lib.mapAttrsToList (
                name: vm:
                problems.microvmProblems microvmNames name vm (
                  if config.microvm.vms ? ${name} then factsOf name else null
                )
              ) cfg.microvms
            )
          else
            [ (problems.noMicrovmNixProblem (lib.attrNames cfg.microvms)) ]
        );
    })
  ];
}
