//! Commands of the operator over the command socket.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::json;
use vrrp_lab::daemons::{Vrrpd, vrrpd_program};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment};
use vrrp_proto::State::{Backup, Master};
use vrrp_proto::operator::CommandKind;

use crate::common::{INTERVAL, LATE, Lan, SOON, VIP, assert_rhythm, instance, only, with};
use crate::pair::{HIGH, LOW, Pair};

pub(crate) fn drained_master_hands_over_and_returns() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let drained = Moment::now();
    let said = a.operate(&["drain", "--for", "10m", "--reason", "kernel update"])?;
    assert_eq!(
        said,
        "VI_1: master with priority 1 until another host takes over\n"
    );
    let line = b.wait_for("VI_1", Backup, Master, drained, SOON)?;
    a.wait_for("VI_1", Master, Backup, drained, SOON)?;
    // The next advertisement has the low priority, and the backup waits for its skew time.
    let taken = line.at.since(drained);
    assert!(taken < INTERVAL * 2 + LATE, "taken over after {taken:?}");
    let status = a.status()?;
    let [command] = &status.commands[..] else {
        panic!("not one command: {:?}", status.commands);
    };
    assert_eq!(command.command, CommandKind::Drain);
    assert_eq!(command.reason.as_deref(), Some("kernel update"));
    assert!(command.by.contains("uid 0"), "{}", command.by);
    assert!(
        command
            .ends_in
            .is_some_and(|left| left > 590.0 && left <= 600.0)
    );
    assert_eq!(status.instances[0].priority.reasons, ["drain -199"]);
    let told = format!("drain by {} for 600.000 s: kernel update", command.by);
    a.process()
        .wait_for_line(|line| line.ends_with(&told), SOON)?;

    let ended = Moment::now();
    a.operate(&["undrain"])?;
    a.wait_for("VI_1", Backup, Master, ended, SOON)?;
    assert!(a.status()?.commands.is_empty());
    let said = a.operate(&["undrain"])?;
    let none = "no drain was in force: nothing has changed\n";
    assert!(said.starts_with(none), "{said}");
    Ok(())
}

pub(crate) fn drain_survives_restart_of_the_daemon() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    a.operate(&["drain", "--for", "forever"])?;
    b.wait_for_state("VI_1", Master, SOON)?;
    a.stop()?;
    let a = pair.start_a()?;
    let status = a.status()?;
    assert_eq!(status.commands.len(), 1);
    assert_eq!(status.commands[0].ends_in, None);
    assert_eq!(status.instances[0].priority.effective.get(), 1);
    pair.lan.pass(&pair.b, 10)?;
    assert_eq!(a.instance("VI_1")?.state, Backup);
    a.operate(&["undrain"])?;
    a.wait_for_state("VI_1", Master, SOON)?;
    Ok(())
}

pub(crate) fn drain_without_peer_leaves_the_last_resort() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let daemon = Vrrpd::start(&a.host, &only(instance(HIGH)))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    daemon.operate(&["drain"])?;
    let low = lan.advert(Moment::now(), |advert| advert.priority == 1)?;
    lan.advert(low.at, |advert| advert.priority == 1)?;
    assert!(a.host.holds(VIP)?);
    let resigned = Moment::now();
    daemon.operate(&["drain", "--no-last-resort"])?;
    lan.advert(resigned, |advert| advert.priority == 0)?;
    assert_eq!(daemon.instance("VI_1")?.state, Backup);
    // There is no successor.
    a.address_event(VIP, false, resigned)?;
    // Three intervals and the skew time would be enough.
    std::thread::sleep(INTERVAL * 8);
    assert_eq!(daemon.instance("VI_1")?.state, Backup);
    assert!(!a.host.holds(VIP)?);
    Ok(())
}

pub(crate) fn step_down_works_with_a_backup_that_does_not_preempt() -> Outcome {
    let pair = Pair::new()?;
    let lazy = with(instance(LOW), json!({ "preempt": false }));
    let (a, b) = pair.start_with(&only(instance(HIGH)), &only(lazy))?;
    let ordered = Moment::now();
    let said = a.operate(&["step-down", "VI_1", "--for", "3s"])?;
    assert_eq!(said, "VI_1: master -> backup\n");
    let line = b.wait_for("VI_1", Backup, Master, ordered, SOON)?;
    let taken = line.at.since(ordered);
    assert!(taken < INTERVAL + LATE, "taken over after {taken:?}");
    let returned = a.wait_for("VI_1", Backup, Master, ordered, SOON)?;
    let away = returned.at.since(ordered);
    assert!(away >= Duration::from_secs(3), "returned after {away:?}");
    Ok(())
}

pub(crate) fn step_down_without_last_resort_lasts_until_ended() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let daemon = Vrrpd::start(&a.host, &only(instance(HIGH)))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    let ordered = Moment::now();
    daemon.operate(&["step-down", "--all", "--for", "forever", "--no-last-resort"])?;
    a.address_event(VIP, false, ordered)?;
    assert_eq!(
        &*daemon.instance("VI_1")?.cause,
        "step-down without last resort: no take-over"
    );
    std::thread::sleep(INTERVAL * 8);
    assert_eq!(daemon.instance("VI_1")?.state, Backup);
    daemon.operate(&["step-down", "VI_1", "--end"])?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    Ok(())
}

pub(crate) fn priority_of_the_operator_expires() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let ordered = Moment::now();
    b.operate(&["priority", "VI_1", "250", "--for", "2s"])?;
    b.wait_for("VI_1", Backup, Master, ordered, SOON)?;
    assert_eq!(b.instance("VI_1")?.priority.reasons, ["priority +150"]);
    a.wait_for("VI_1", Backup, Master, ordered, SOON)?;
    b.wait_for("VI_1", Master, Backup, ordered, SOON)?;
    assert!(b.status()?.commands.is_empty());
    Ok(())
}

pub(crate) fn announcement_is_repeated_by_order() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let before = a.instance("VI_1")?.counters.announcements;
    assert_eq!(a.operate(&["announce"])?, "VI_1: announced\n");
    assert!(a.instance("VI_1")?.counters.announcements > before);
    let said = b.operate(&["announce", "VI_1"])?;
    assert_eq!(said, "VI_1: backup: only a master announces\n");
    Ok(())
}

pub(crate) fn reload_command_returns_mistakes_and_changes() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let daemon = Vrrpd::start(&a.host, &only(instance(LOW)))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    let configure = |config: &str| a.host.write("/run/vrrpd.json", config, 0o600);
    configure(&only(instance(HIGH)))?;
    let said = daemon.operate(&["reload", "--dry-run"])?;
    assert_eq!(
        said,
        "VI_1: priority 100 -> 200: this host may take over from a master of lower priority\n"
    );
    assert_eq!(daemon.instance("VI_1")?.priority.configured.get(), LOW);
    let said = daemon.operate(&["reload"])?;
    assert_eq!(
        said,
        "configuration reloaded from /run/vrrpd.json: 1 instance\nVI_1: master\n"
    );
    assert_eq!(daemon.instance("VI_1")?.priority.configured.get(), HIGH);

    configure(&only(with(instance(HIGH), json!({ "virtualRouterId": 0 }))))?;
    for arguments in [&["reload", "--dry-run"][..], &["reload"]] {
        let output = daemon.command(arguments)?;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let mistake = "instances.VI_1.virtualRouterId = 0: must be 1 to 255";
        assert!(said.contains(mistake), "{said}");
    }
    assert_eq!(daemon.instance("VI_1")?.state, Master);
    Ok(())
}

pub(crate) fn command_for_unknown_instance_suggests_another() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let daemon = Vrrpd::start(&a.host, &only(instance(HIGH)))?;
    let output = daemon.command(&["step-down", "VI_11"])?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "vrrpd: there is no instance VI_11: did you mean VI_1?\n"
    );
    Ok(())
}

pub(crate) fn command_without_daemon_or_permission_says_why() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let program = vrrpd_program()?.display().to_string();
    let output = a.host.exec(&[&program, "drain"])?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("vrrpd: no daemon takes commands at /run/vrrpd/command.sock: "),
        "{said}"
    );

    let _daemon = Vrrpd::start(&a.host, &only(instance(HIGH)))?;
    let mode = a.host.shell("stat --format %a /run/vrrpd/command.sock")?;
    assert_eq!(mode.trim(), "660");
    // Without root's rights the lab has no second user.
    let as_nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    if a.host
        .shell(&format!("{as_nobody} {program} --version"))
        .is_ok()
    {
        let script = format!("{as_nobody} {program} drain 2>&1; echo $?");
        let said = a.host.shell(&script)?;
        let expected = "vrrpd: no permission for /run/vrrpd/command.sock: run the command as root";
        assert!(
            said.starts_with(expected) && said.ends_with("\n1\n"),
            "{said}"
        );
        // The mode of the socket is not the only check.
        a.host.shell("chmod 0666 /run/vrrpd/command.sock")?;
        let said = a.host.shell(&script)?;
        assert!(said.contains("may not give commands: only root"), "{said}");
    }
    Ok(())
}

pub(crate) fn unreadable_commands_do_not_prevent_service() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    a.host
        .shell("mkdir /run/vrrpd-state && echo '{' > /run/vrrpd-state/commands.json")?;
    let daemon = Vrrpd::start(&a.host, &only(instance(HIGH)))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    let why = daemon.status()?.unread_commands.unwrap_or_default();
    assert!(
        why.starts_with("cannot read the standing commands from /run/vrrpd-state/commands.json: "),
        "{why}"
    );
    daemon
        .process()
        .wait_for_line(|line| line.ends_with(&*why), SOON)?;
    daemon.operate(&["drain"])?;
    Ok(())
}

pub(crate) fn slow_command_clients_delay_nothing() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start()?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let silent = silent_clients(&pair.a.host, 16)?;
    // All places are taken: a further client is answered at once.
    let output = a.command(&["announce"])?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "vrrpd: the daemon carries out 16 commands already\n");
    assert_eq!(a.instance("VI_1")?.state, Master, "status still answers");
    // The time limit frees the places.
    let mut answer = String::new();
    let mut first = &silent[0];
    first.set_read_timeout(Some(SOON))?;
    first.read_to_string(&mut answer)?;
    assert!(answer.contains("no request within 2 s"), "{answer}");
    drop(silent);
    a.operate(&["announce"])?;
    pair.lan.pass(&pair.a, 3)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    Ok(())
}

fn silent_clients(host: &Host, count: usize) -> std::io::Result<Vec<UnixStream>> {
    let connect = |_| UnixStream::connect("/run/vrrpd/command.sock");
    host.run(|| (0..count).map(connect).collect())
}
