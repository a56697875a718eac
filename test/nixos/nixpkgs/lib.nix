# Takes the folder of nixpkgs.lib, gives lib, with what Debian 12's Nix (2.8) has no builtin for.
folder:
(import folder).extend (
  _: prev:
  let
    pathType = path: (builtins.readDir (dirOf path)).${baseNameOf path};
  in
  if builtins ? readFileType then
    { }
  else
    {
      addDrvOutputDependencies = drv: drv;
      filesystem = prev.filesystem // {
        inherit pathType;
        pathIsDirectory = path: builtins.pathExists path && pathType path == "directory";
        pathIsRegularFile = path: builtins.pathExists path && pathType path == "regular";
      };
    }
)
