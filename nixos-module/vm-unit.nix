# Takes the program vmsecretd-launch, gives what a unit that vmsecretd does not ship, such as microvm.nix's microvm@NAME, needs in a
# drop-in so that its VM gets its secrets: all that depends on how the launcher is called. systemd/microvm@.service says why each line
# is there, and a test holds the two together. `isNotify`: its Type= is notify, so that it is active once the guest says so. `registers`: with
# systemd-machined, unless microvm.nix does. `isQemu`: microvm.nix's microvm-shutdown of QEMU returns before the guest has shut down, since
# its standard input is at its end in a unit; systemd would end QEMU. `held`: the
# command of its ExecStart=, where that opens descriptors from 3 on, as microvm.nix does for macvtap.
{
  launch,
  isNotify,
  registers ? true,
  isQemu ? false,
  held ? null,
}:
{
  after = [
    "vmsecretd-ready.target"
    "vmsecretd-api@%i.socket"
  ];
  wants = [
    "vmsecretd-ready.target"
    "vmsecretd.service"
  ];
  requires = [ "vmsecretd-api@%i.socket" ];
  serviceConfig = {
    ExecStartPre = "+${launch} --prepare %i";
    LimitCORE = 1;
    MemorySwapMax = 0;
    RuntimeDirectory = "vmsecretd/vms/%i";
    RuntimeDirectoryMode = "0700";
    Sockets = "vmsecretd-api@%i.socket";
  }
  // {
    ExecStartPost =
      (if isNotify then [ ] else [ "+${launch} --wait %i" ])
      ++ (if registers then [ "-!${launch} --register %i" ] else [ ]);
  }
  // (
    if isQemu then
      {
        ExecStop = [
          ""
          "${launch} --stop %i"
        ];
      }
    else
      { }
  )
  // (
    if held == null then
      { }
    else
      {
        ExecStart = [
          ""
          "${launch} --hold %i -- ${held}"
        ];
      }
  );
}
