# What a unit that vmsecretd does not ship, such as microvm.nix's microvm@NAME, needs in a drop-in so that its VM gets its secrets.
# systemd/microvm@.service says why each line is there, and a test holds the two together.
{
  after = [ "vmsecretd-ready.target" ];
  wants = [
    "vmsecretd-ready.target"
    "vmsecretd.service"
  ];
  serviceConfig = {
    LimitCORE = 0;
    MemorySwapMax = 0;
    RuntimeDirectory = "vmsecretd/vms/%i";
    RuntimeDirectoryMode = "0700";
  };
}
