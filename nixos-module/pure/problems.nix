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

  kinds = filter (key: key != "trim") (attrNames (import ./credential-keys.nix));
  orEmpty = list: if list == null then [ ] else list;
  kindsOf = source: filter (kind: source.${kind} or null != null) kinds;

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
        message = "${at}: set exactly one of age, file and text; ${
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

  # `vm`: { hypervisor, system, oemStrings, extraArgs, launcherFor } of the VM's own evaluation, or null where there is none.
  microvmProblems =
    name: definition: vm:
    let
      option = "services.vmsecretd.microvms.${name}";
      secrets = definition.credentials or { } != { };
    in
    if vm == null then
      [
        {
          assertion = false;
          message = "${option}: there is no microvm.vms.${name} on this host. For a VM that `microvm -c` made, use services.vmsecretd.vms.${name} with supervisor = \"unit\", and import vmsecretd.nixosModules.microvm in the VM.";
        }
      ]
    else
      [
        {
          assertion = vm.hypervisor == "cloud-hypervisor";
          message = "${option}: microvm.vms.${name} runs ${vm.hypervisor}. Set microvm.hypervisor = \"cloud-hypervisor\" in the VM's config.";
        }
        {
          assertion = vm.system == "x86_64-linux";
          message = "${option}: microvm.vms.${name} is a ${vm.system} VM, and cloud-hypervisor hands OEM strings over on x86_64 only (up to v53 it drops them elsewhere without a word).";
        }
        {
          assertion = !secrets || !any (argument: match "-v+|--verbose" argument != null) vm.extraArgs;
          message = "${option}: microvm.cloud-hypervisor.extraArgs of the VM has -v, which logs the whole configuration, secrets included. Remove it.";
        }
        {
          assertion = vm.hypervisor != "cloud-hypervisor" || vm.launcherFor == name;
          message = "${option}: microvm.vms.${name} brings its own evaluation (flake or evaluatedConfig), which takes no module of the host. Import vmsecretd.nixosModules.microvm in the VM and set vmsecretd.microvm.name = \"${name}\"; or set microvm.cloud-hypervisor.package = vmsecretd.lib.mkLauncher { inherit pkgs; name = \"${name}\"; }.";
        }
      ]
      ++ duplicateProblems option definition vm.oemStrings
      ++ [ (countProblem option definition vm.oemStrings) ];
in
{
  inherit
    definitionProblems
    identityProblem
    microvmProblems
    ;

  twiceProblem = name: {
    assertion = false;
    message = "services.vmsecretd: ${name} is in vms and in microvms. A VM of microvm.nix belongs into microvms alone.";
  };

  noMicrovmNixProblem = names: {
    assertion = names == [ ];
    message = "services.vmsecretd.microvms.${head (names ++ [ "" ])}: this host does not import microvm.nix. Add microvm.nixosModules.host to its modules, or use services.vmsecretd.vms.";
  };
}
