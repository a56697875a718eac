# Takes the text of systemd/microvm@.service, gives what a microvm@NAME of microvm.nix needs of it: the order after the daemon, the
# private folder of the API socket, and memory that is neither dumped nor swapped. All else is microvm.nix's.
text:
let
  unit = import ./unit-settings.nix {
    inherit text;
    programs.vmsecretd-launch = "vmsecretd-launch";
  };
  ours = builtins.filter (name: builtins.match "vmsecretd.*" name != null);
in
{
  after = ours unit.after;
  wants = ours unit.wants;
  serviceConfig = {
    inherit (unit.serviceConfig)
      LimitCORE
      MemorySwapMax
      RuntimeDirectory
      RuntimeDirectoryMode
      ;
  };
}
