# Takes the folder nixos-module/, gives [ { option, description } ] of every option that it declares, for the table in nixos-options.md.
# It stands in for nixpkgs' lib, of which only the names of options and their nesting matter here.
modules:
let
  inherit (builtins) attrNames concatMap isAttrs isFunction mapAttrs;
  deep = type: { inner = type.inner or { }; };
  leaf = { };
  lib = {
    mkOption = option: option // { isOption = true; };
    mkEnableOption = what: {
      isOption = true;
      description = "Whether to enable ${what}.";
    };
    mkIf = _: _: { };
    mkMerge = _: { };
    mkPackageOption = _: name: { extraDescription ? "", ... }: {
      isOption = true;
      description = "The ${name} package to use. ${extraDescription}";
    };
    literalExpression = text: text;
    literalMD = text: text;
    genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
    filterAttrs =
      keep: attrs:
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = attrs.${name};
        }) (builtins.filter (name: keep name attrs.${name}) (attrNames attrs))
      );
    optionalAttrs = condition: attrs: if condition then attrs else { };
    optionals = _: _: [ ];
    isList = builtins.isList;
    inherit mapAttrs;
    types = {
      inherit deep;
      attrsOf = type: { inner = if type ? inner then { NAME = type.inner; } else { }; };
      submodule = module: {
        inner = (if isFunction module then module { name = "NAME"; } else module).options;
      };
      nullOr = deep;
      listOf = _: leaf;
      coercedTo = _: _: deep;
      either = _: _: leaf;
      enum = _: leaf;
      strMatching = _: leaf;
      deferredModule = leaf;
      bool = leaf;
      package = leaf;
      path = leaf;
      str = leaf;
    };
  };
  arguments = {
    inherit lib;
    pkgs = {
      formats.json = _: { type = leaf; };
      vmsecretd = leaf;
    };
    config = { };
    # As beside microvm.nix, which describes microvm.vms itself.
    options.microvm.stateDir = leaf;
  };
  list =
    prefix: options:
    concatMap (
      name:
      let
        value = options.${name};
        path = if prefix == "" then name else "${prefix}.${name}";
      in
      if !(value.isOption or false) then
        list path value
      else if value.internal or false then
        [ ]
      else
        # microvm.vms is microvm.nix's, and extended only.
        builtins.filter (row: row ? description) [ (removeAttrs value (builtins.filter (key: key != "description") (attrNames value)) // { option = path; }) ]
        ++ list path (value.type.inner or { })
    ) (attrNames options);
in
concatMap (file: list "" (import (modules + "/${file}") arguments).options) [
  "options.nix"
  "microvms.nix"
  "microvm.nix"
  "guest.nix"
]
