# Exactly the units that a check script names as `mayManage`, for exactly the daemon's user, to
# start and to restart.
{ config, lib, ... }:
let
  cfg = config.services.vrrp;

  units = lib.unique (
    lib.concatMap (tracker: tracker.script.mayManage or [ ]) (lib.attrValues cfg.trackers)
  );
in
{
  config = lib.mkIf (cfg.enable && units != [ ]) {
    security.polkit.enable = true;
    security.polkit.extraConfig = ''
      polkit.addRule(function (action, subject) {
        if (
          action.id === "org.freedesktop.systemd1.manage-units" &&
          subject.user === "vrrp" &&
          ${builtins.toJSON units}.indexOf(action.lookup("unit")) >= 0 &&
          ["start", "restart"].indexOf(action.lookup("verb")) >= 0
        ) {
          return polkit.Result.YES;
        }
      });
    '';

    # A script's time is bounded: its first request shall not wait for polkit to be started.
    systemd.services.vrrp.wants = [ "polkit.service" ];
    systemd.services.vrrp.after = units;
  };
}
