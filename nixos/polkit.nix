# For exactly the daemon's user, exactly the units that a check script names as `mayManage`, that a tracker
# starts again, or that run where an instance is master, and for each of them only the verbs that are used.
{ config, lib, ... }:
let
  cfg = config.services.vrrp;

  inherit (import ./instance.nix { inherit lib; }) resources target;

  restarts = value: value != null && value != false;
  restarted = lib.concatMap (
    tracker: lib.optional (restarts (tracker.unit.restart or null)) tracker.unit.name
  ) (lib.filter (tracker: tracker ? unit.name) (lib.attrValues cfg.document.trackers));

  managed = lib.unique cfg.mayManage;

  followers = lib.concatLists (
    lib.mapAttrsToList (
      name: instance:
      let
        units = resources instance;
      in
      lib.optionals (units != null) ([ (target name) ] ++ units)
    ) cfg.document.instances
  );

  # The verbs that are allowed for each unit, without repetition.
  rights = lib.mapAttrs (_: lib.concatMap (right: right.verbs)) (
    lib.groupBy (right: right.unit) (
      lib.concatLists (
        lib.mapAttrsToList
          (
            verb: units:
            map (unit: {
              inherit unit;
              verbs = [ verb ];
            }) (lib.unique units)
          )
          {
            restart = managed;
            start = managed ++ restarted ++ followers;
            stop = followers;
          }
      )
    )
  );
in
{
  config = lib.mkIf (cfg.enable && rights != { }) {
    security.polkit.enable = true;
    security.polkit.extraConfig = ''
      polkit.addRule(function (action, subject) {
        var rights = ${builtins.toJSON rights};
        if (
          action.id === "org.freedesktop.systemd1.manage-units" &&
          subject.user === "vrrp" &&
          (rights[action.lookup("unit")] || []).indexOf(action.lookup("verb")) >= 0
        ) {
          return polkit.Result.YES;
        }
      });
    '';

    # Time is bounded: the first request shall not wait for polkit to be started.
    systemd.services.vrrp.wants = [ "polkit.service" ];
    # Not after the resources of a master: their stop would wait for the daemon's, which waits for them.
    systemd.services.vrrp.after = managed;
  };
}
