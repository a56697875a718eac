# Takes definitions (and, for microvm.nix, what is known of the VM), gives the NixOS assertions about them, each with a message that
# says where the mistake is and what to write instead. Everything else is left to `vmsecretd check`, which runs at build time.
let
  inherit (builtins)
    any
    attrNames
    concatMap
    concatStringsSep
    elem
    filter
    head
    isPath
    length
    match
    stringLength
    typeOf
    ;

  isPathValue = value: typeOf value == "path";
  startsWith = prefix: text: builtins.substring 0 (stringLength prefix) text == prefix;
  # A path value becomes a store path as soon as it is written into a file.
  isInStore = value: isPathValue value || startsWith "${builtins.storeDir}/" (toString value);

  kinds = attrNames (import ./sources.nix);
  # Keys that go with a kind, or with all of them.
  furtherKeys = [
    "key"
    "name"
    "onDemand"
    "trim"
    "watch"
  ];
  orEmpty = list: if list == null then [ ] else list;
  # A source of a kind that is not known here is left to `vmsecretd check`.
  otherKeys = source: filter (key: !elem key (kinds ++ furtherKeys)) (attrNames source);
  kindsOf = source: filter (kind: source.${kind} or null != null) (kinds ++ otherKeys source);

  isCredentialName =
    name: match "[ -~]{1,255}" name != null && match ".*[/:=].*" name == null && name != "." && name != "..";

  # "io.systemd.credential:NAME=…" and "io.systemd.credential.binary:NAME=…"; null for any other string.
  credentialOfOemString =
    text:
    let
      parts = match "io\\.systemd\\.credential(\\.binary)?:([^=]*)=.*" (
        builtins.replaceStrings [ "\n" ] [ " " ] text
      );
    in
    if parts == null then null else builtins.elemAt parts 1;

  credentialProblems =
    option: name: source:
    let
      at = "${option}.credentials.${builtins.toJSON name}";
      given = kindsOf source;
    in
    [
      {
        assertion = isCredentialName name;
        message = "${at}: a credential name is 1-255 printable ASCII characters without '/', ':' and '=', and not '.' or '..'.";
      }
      {
        assertion = length given == 1;
        message = "${at}: set exactly one of ${concatStringsSep ", " kinds}; ${
          if given == [ ] then "none is set" else "${concatStringsSep " and " given} are set"
        }.";
      }
      {
        assertion = source.file or null == null || !isInStore source.file;
        message = "${at}.file = ${toString source.file}: this would be world-readable, a plain file in the Nix store. Encrypt it and use age = ./NAME.age; or name a file of the running host as a string, such as \"/run/secrets/NAME\".";
      }
    ];

  identityProblem = option: path: {
    assertion = !isInStore path;
    message = "${option}: ${toString path} would be world-readable, a private key in the Nix store. Name a file of the running host as a string, such as \"/etc/ssh/ssh_host_ed25519_key\".";
  };

  duplicateProblems =
    option: definition: staticStrings:
    let
      credentials = attrNames (definition.credentials or { });
      static = filter (name: name != null) (map credentialOfOemString staticStrings);
      twice = filter (name: elem name static) credentials;
    in
    map (name: {
      assertion = false;
      message = "${option}.credentials.${builtins.toJSON name}: a static OEM string has the same credential, and the guest would take that one and drop the secret. Remove it from oemStrings (microvm.cloud-hypervisor.platformOEMStrings).";
    }) twice;

  # `vmsecretd check` counts those of the definition; it does not see the VM's own.
  countProblem =
    option: definition: staticStrings:
    let
      count = length (
        staticStrings ++ orEmpty (definition.oemStrings or null) ++ attrNames (definition.credentials or { })
      );
    in
    {
      assertion = count <= 255;
      message = "${option}: ${toString count} OEM strings, static ones (microvm.cloud-hypervisor.platformOEMStrings) and credentials together, are more than the 255 that SMBIOS can count. Join some into one credential.";
    };

  isVmName = name: match "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}" name != null;

  definitionProblems =
    option: name: definition:
    [
      {
        assertion = isVmName name;
        message = "${option}: a VM name is 1-64 of A-Z a-z 0-9 '_' '.' '-', beginning with a letter or digit.";
      }
    ]
    ++ concatMap (credential: credentialProblems option credential definition.credentials.${credential}) (
      attrNames (definition.credentials or { })
    )
    ++ map (identityProblem "${option}.identities") (
      orEmpty (definition.identities or null)
    )
    ++ duplicateProblems option definition (orEmpty (definition.oemStrings or null));

  # Keys of a definition that say what microvm.nix says of its VMs already.
  ofMicrovmNix = {
    autostart = "set microvm.vms.NAME.autostart";
    command = "set microvm.* in the VM's config";
    delivery = "it follows from microvm.hypervisor";
    group = "microvm.nix has one for all VMs";
    hypervisor = "set microvm.hypervisor in the VM's config";
    preStart = "set microvm.preStart in the VM's config";
    restart = "set systemd.services.\"microvm@NAME\".serviceConfig.Restart";
    supervisor = "it is always \"unit\"";
    unit = "it is always microvm@NAME.service";
    user = "microvm.nix has one for all VMs";
    vmConfig = "set microvm.* in the VM's config";
    workingDirectory = "set microvm.stateDir";
  };
  keyProblems =
    option: name: definition:
    map (key: {
      assertion = false;
      message = "${option}.${key}: microvm.nix decides this for its VMs; ${
        builtins.replaceStrings [ "NAME" ] [ name ] ofMicrovmNix.${key}
      }.";
    }) (filter (key: definition.${key} or null != null) (attrNames ofMicrovmNix));

  # As QEMU's own names and those of distributions; src/hypervisor/qemu/qemu-command.ts has the same.
  hasSmbios = machine: match "q35|pc|pc-(q35|i440fx)-.+|ubuntu|ubuntu-q35" machine != null;

  credentialFileProblems =
    option: definition: credentialFiles:
    map (name: {
      assertion = false;
      message = "${option}.credentials.${builtins.toJSON name}: microvm.credentialFiles of the VM has the same credential, and the guest would take that one and drop the secret. Remove one of them.";
    }) (filter (name: elem name credentialFiles) (attrNames (definition.credentials or { })));

  # `names`: those of microvm.vms. `vm`: { hypervisor, system, oemStrings, extraArgs, graphics, launcherFor, isDeclared, machine,
  # credentialFiles } of the VM's own evaluation, or null where there is none. `machine` is QEMU's.
  microvmProblems =
    names: name: definition: vm:
    let
      option = "services.vmsecretd.microvms.${name}";
      secrets = definition.credentials or { } != { };
      isQemu = vm.hypervisor == "qemu";
      isSupported = isQemu || vm.hypervisor == "cloud-hypervisor";
      # What a VM's config calls the two.
      own = if isQemu then "qemu" else "cloud-hypervisor";
      ours = if isQemu then "qemu" else "cloudHypervisor";
      makeLauncher = if isQemu then "mkQemuLauncher" else "mkLauncher";
      there = if names == [ ] then "none" else concatStringsSep ", " names;
    in
    if !elem name names then
      [
        {
          assertion = false;
          message = "${option}: there is no microvm.vms.${name}; correct the name (there: ${there}), or add the VM to microvm.vms. For a VM that `microvm -c` made, set services.vmsecretd.vms.${name}.credentials and import vmsecretd.nixosModules.microvm in the VM.";
        }
      ]
    else if vm == null then
      [
        {
          assertion = false;
          message = "${option}: microvm.vms.${name} has no config, flake or evaluatedConfig; set one of them.";
        }
      ]
    else
      [
        {
          assertion = isSupported;
          message = "${option}: microvm.vms.${name} runs ${vm.hypervisor}. Set microvm.hypervisor = \"cloud-hypervisor\" or \"qemu\" in the VM's config.";
        }
        {
          assertion = !isQemu || !secrets || hasSmbios vm.machine;
          message = "${option}: microvm.qemu.machine = \"${toString (vm.machine or null)}\" of the VM has no SMBIOS table for the credentials. Set microvm.qemu.machine = \"q35\" in the VM's config.";
        }
        {
          assertion = vm.system == null || vm.system == "x86_64-linux";
          message = "${option}: microvm.vms.${name} is a ${toString vm.system} VM, and OEM strings reach a guest on x86_64 only (cloud-hypervisor up to v53 drops them elsewhere without a word).";
        }
        {
          assertion = !secrets || !any (argument: match "-v+|--verbose" argument != null) vm.extraArgs;
          message = "${option}: microvm.cloud-hypervisor.extraArgs of the VM has -v, which logs the whole configuration, secrets included. Remove it.";
        }
        {
          assertion = vm.hypervisor != "cloud-hypervisor" || !vm.graphics;
          message = "${option}: microvm.graphics.enable of the VM needs --gpu, an option of Spectrum's cloud-hypervisor that no release has and vmsecretd does not convert. Set microvm.graphics.enable = false in the VM's config.";
        }
        {
          assertion = !isSupported || (vm.graphics && !isQemu) || vm.launcherFor == name;
          message = "${option}: ${
            if vm.launcherFor != null then
              "the launcher in microvm.vms.${name} is for the VM \"${vm.launcherFor}\" (networking.hostName unless set otherwise). Set vmsecretd.microvm.name = \"${name}\" in the VM's config."
            else if vm.isDeclared then
              "the config of microvm.vms.${name} sets microvm.${own}.package, which is where vmsecretd's launcher goes; without the launcher the VM would boot without its secrets. Set vmsecretd.microvm.${ours}.package there instead."
            else
              "microvm.vms.${name} brings its own evaluation (flake or evaluatedConfig), which takes no module of the host. Import vmsecretd.nixosModules.microvm in the VM and set vmsecretd.microvm.name = \"${name}\"; or set microvm.${own}.package = vmsecretd.lib.${makeLauncher} { inherit pkgs; name = \"${name}\"; }."
          }";
        }
      ]
      ++ keyProblems option name definition
      ++ duplicateProblems option definition vm.oemStrings
      ++ credentialFileProblems option definition (vm.credentialFiles or [ ])
      ++ [ (countProblem option definition vm.oemStrings) ];
in
{
  inherit
    definitionProblems
    identityProblem
    microvmProblems
    ;

  # A VM that microvm.nix runs gets its launcher by `microvms` only.
  wrongPlaceProblem = name: {
    assertion = false;
    message = "services.vmsecretd.vms.${name}: microvm.nix runs this VM (microvm.vms.${name}), which would boot without its secrets. Move it to services.vmsecretd.microvms.${name}, or microvm.vms.${name}.vmsecretd.";
  };

  # `names`: of all VMs that are declared while services.vmsecretd.enable is false.
  notEnabledProblem = names: {
    assertion = names == [ ];
    message = "services.vmsecretd: ${concatStringsSep ", " names} would boot without its secrets, because services.vmsecretd.enable is not set. Set services.vmsecretd.enable = true.";
  };

  # `names`: of VMs with age files that no identity is named for.
  noIdentityProblem = names: {
    assertion = names == [ ];
    message = "services.vmsecretd.identityPaths is empty, so nothing opens the age files of ${concatStringsSep ", " names}. Set services.openssh.enable = true, whose host keys are the default, or name a private key of the running host: services.vmsecretd.identityPaths = [ \"/var/lib/secrets/age.key\" ].";
  };

  twiceProblem = name: {
    assertion = false;
    message = "services.vmsecretd: ${name} is in vms and in microvms. A VM of microvm.nix belongs into microvms alone.";
  };

  noMicrovmNixProblem = names: {
    assertion = names == [ ];
    message = "services.vmsecretd.microvms.${head (names ++ [ "" ])}: this host does not import microvm.nix. Add microvm.nixosModules.host to its modules, or use services.vmsecretd.vms.";
  };
}
