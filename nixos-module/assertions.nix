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
  hasMicrovmNix = options ? microvm.vms;

  # What the problems ask of a VM of microvm.nix, however it is evaluated; null where nothing evaluates it.
  factsOf =
    name:
    let
      vm = config.microvm.vms.${name};
      guest =
        if vm.flake != null then
          vm.flake.nixosConfigurations.${name}
        else if vm.evaluatedConfig != null then
          vm.evaluatedConfig
        else
          vm.config;
      inherit (guest.config.microvm) cloud-hypervisor hypervisor;
    in
    if vm.flake == null && vm.evaluatedConfig == null && vm.config == null then
      null
    else
      {
        inherit hypervisor;
        inherit (cloud-hypervisor) extraArgs;
        oemStrings = cloud-hypervisor.platformOEMStrings;
        inherit (guest._module.args.pkgs.stdenv.hostPlatform) system;
        launcherFor = cloud-hypervisor.package.launcherFor or null;
      };

  perDefinition =
    kind:
    lib.concatLists (
      lib.mapAttrsToList (
        name: problems.definitionProblems "services.vmsecretd.${kind}.${name}" name
      ) cfg.${kind}
    );
in
{
  config = lib.mkIf cfg.enable {
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
      ++ map problems.twiceProblem (lib.attrNames (builtins.intersectAttrs cfg.vms cfg.microvms))
      ++ (
        if hasMicrovmNix then
          lib.concatLists (
            lib.mapAttrsToList (name: vm: problems.microvmProblems name vm (factsOf name)) cfg.microvms
          )
        else
          [ (problems.noMicrovmNixProblem (lib.attrNames cfg.microvms)) ]
      );
  };
}
