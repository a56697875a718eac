# Takes the vmsecretd package and a name, gives a package with the template of VMs' units under that name: "microvm", or, where
# microvm.nix has a microvm@.service, "vmsecretd-vm".
{
  name,
  runCommand,
  vmsecretd,
}:
runCommand "${name}-unit-template" { } ''
  install -D -m 644 ${vmsecretd}/share/vmsecretd/microvm@.service $out/lib/systemd/system/${name}@.service
''
