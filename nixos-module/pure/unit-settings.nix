# Takes a unit file's text and { program = "/nix/store/…"; }, gives what a NixOS unit option takes: dependencies and [Install]
# as NixOS's own lists, every other setting as it stands in the file, programs by their store paths. Refuses unknown programs.
{
  text,
  programs ? { },
}:
let
  unit = import ./unit-file.nix text;
  section = name: unit.${name} or { };

  # Sections that NixOS has an option for. [Install] is written by NixOS itself, Also= is what enables more than one unit.
  dependencies = {
    After = "after";
    Before = "before";
    BindsTo = "bindsTo";
    Conflicts = "conflicts";
    PartOf = "partOf";
    Requires = "requires";
    Requisite = "requisite";
    Wants = "wants";
  };
  installation = {
    Alias = "aliases";
    RequiredBy = "requiredBy";
    WantedBy = "wantedBy";
  };

  words = values: builtins.filter (word: builtins.isString word && word != "") (
    builtins.concatMap (builtins.split "[ \t]+") values
  );
  pick =
    names: from:
    builtins.listToAttrs (
      map (key: {
        name = names.${key};
        value = words from.${key};
      }) (builtins.filter (key: from ? ${key}) (builtins.attrNames names))
    );

  # NixOS merges lists; a key that may repeat is one wherever the file repeats it.
  value = values: if builtins.length values == 1 then builtins.head values else values;
  values = builtins.mapAttrs (_: value);

  withProgram =
    line:
    let
      parts = builtins.match "([-@:+!]*)(/[^ ]+)(.*)" line;
      path = builtins.elemAt parts 1;
      program =
        programs.${builtins.baseNameOf path}
          or (throw "unit file: ${path} is none of the programs that NixOS has for it (${toString (builtins.attrNames programs)})");
    in
    if parts == null then line else builtins.elemAt parts 0 + program + builtins.elemAt parts 2;
  withPrograms = builtins.mapAttrs (
    key: lines: if builtins.match "Exec.*" key == null then lines else map withProgram lines
  );
in
pick dependencies (section "Unit")
// pick installation (section "Install")
// {
  # Documentation= names files below the prefix of install.sh.
  unitConfig = values (
    builtins.removeAttrs (section "Unit") ([ "Documentation" ] ++ builtins.attrNames dependencies)
  );
}
// (if unit ? Service then { serviceConfig = values (withPrograms unit.Service); } else { })
// (if unit ? Socket then { socketConfig = values unit.Socket; } else { })
