# Takes pkgs, gives the packages of the programs that vmsecretd runs by name: the list is src/system/host-programs.json.
pkgs:
map (name: pkgs.${name}) (
  pkgs.lib.unique (builtins.attrValues (pkgs.lib.importJSON ../src/system/host-programs.json))
)
