# As NixOS has it: takes modules, gives config, options and pkgs. microvm.nix evaluates a VM that the host declares with it.
{
  modules,
  pkgs,
  prefix ? [ ],
  extraModules ? [ ],
  specialArgs ? { },
  ...
}:
let
  evaluated = pkgs.lib.evalModules {
    inherit prefix specialArgs;
    modules = [
      ../modules/base.nix
      ../modules/systemd.nix
      { _module.args = { inherit pkgs; }; }
    ]
    ++ modules
    ++ extraModules;
  };
in
evaluated // { inherit pkgs; }
