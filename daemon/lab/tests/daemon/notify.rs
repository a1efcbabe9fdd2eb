//! Those who are told of transitions: in order, one at a time, and to the end.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, vrrpd_program};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Host, Moment, Process, Result, Signal};
use vrrp_proto::State::{Backup, Fault, Init, Master};
use vrrp_proto::snapshot::NotifyStatus;

use crate::common::{INTERVAL, Lan, SOON, VIP, assert_rhythm, config, instance, only, with};
use crate::pair::HIGH;
use crate::process::Told;
use crate::trackers::assert_gone;

/// Tells that it begins, waits until it may go on, and tells that it ends.
const HELD: &str = r#"#!/bin/sh
echo "begin $VRRP_TO" > /run/told
read word < /run/go
echo "end $VRRP_TO" > /run/told
"#;

pub(crate) fn a_slow_command_is_told_the_newest_state_when_its_turn_comes() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let ear = Ear::on(&a.host)?;
    let daemon = Vrrpd::start(&a.host, &told(json!({ "any": ["/run/held"] })))?;
    ear.hears(&["begin backup"])?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    for _ in 0..3 {
        let from = lan.pass(&a, 1)?.at;
        let pulled = Moment::now();
        a.cable.pull()?;
        daemon.wait_for("VI_1", Master, Fault, pulled, SOON)?;
        a.cable.plug()?;
        daemon.wait_for("VI_1", Backup, Master, pulled, SOON)?;
        lan.advert_of(&a, from)?;
    }
    let status = status(&daemon)?;
    assert_eq!(status.running, Some(Backup), "still the first one");
    assert_eq!((status.waiting, status.dropped), (vec![Master], 9));
    assert_eq!((status.runs, status.last), (0, None));
    ear.lets_go()?;
    ear.hears(&["begin backup", "end backup", "begin master"])?;
    ear.lets_go()?;
    let all = ["begin backup", "end backup", "begin master", "end master"];
    ear.hears(&all)?;
    let stopped = Moment::now();
    daemon.process().kill(Signal::SIGTERM)?;
    daemon.wait_for("VI_1", Master, Init, stopped, SOON)?;
    ear.lets_go()?;
    assert!(daemon.process().wait(SOON)?.success());
    ear.hears(&[&all[..], &["begin init", "end init"]].concat())
}

pub(crate) fn a_command_that_hangs_is_killed_with_its_children_and_the_next_one_told() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let ear = Ear::on(&a.host)?;
    let hang = "#!/bin/sh\necho hangs > /run/told\nsleep 4711 & wait\n";
    a.host.write("/run/hang", hang, 0o755)?;
    let notify = json!({ "backup": ["/run/hang"], "master": say("master"), "timeout": "2s" });
    let daemon = Vrrpd::start(&a.host, &told(notify))?;
    let from = lan.advert_of(&a, Moment::default())?.at;
    let said = "VI_1: not told of backup: killed, because it took longer than 2 s; not tried again";
    daemon
        .process()
        .wait_for_line(|line| line.ends_with(said), SOON)?;
    ear.hears(&["hangs", "master"])?;
    assert_gone(&a.host, "^sleep 4711$")?;
    let status = status(&daemon)?;
    assert_eq!(status.failures, 1);
    // It held nobody up.
    lan.pass(&a, 3)?;
    assert_rhythm(&lan.adverts_of(&a, 51, from), INTERVAL);
    Ok(())
}

pub(crate) fn a_command_that_fails_is_tried_again_until_it_does_well() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let ear = Ear::on(&a.host)?;
    let fail = "#!/bin/sh\n[ -e /run/up ] && exec /run/say master\necho nobody there\nexit 7\n";
    a.host.write("/run/fail", fail, 0o755)?;
    let daemon = Vrrpd::start(&a.host, &told(json!({ "master": ["/run/fail"] })))?;
    let said = "VI_1: not told of master: exit status: 7: nobody there; trying again in 1 s";
    daemon
        .process()
        .wait_for_line(|line| line.ends_with(said), SOON)?;
    let failed = status(&daemon)?;
    let last = failed.last.ok_or("nothing was run")?;
    assert_eq!((last.state, last.succeeded), (Master, false));
    assert_eq!(&*last.detail, "exit status: 7: nobody there");
    a.host.write("/run/up", "", 0o644)?;
    ear.hears(&["master"])
}

pub(crate) fn a_fifo_is_a_command_away_and_hears_json() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let ear = Ear::on(&a.host)?;
    let write = json!(["/bin/sh", "-c", "cat > /run/told"]);
    let daemon = Vrrpd::start(&a.host, &told(json!({ "any": write })))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    let lines = ear.lines(2)?;
    let heard: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line))
        .collect::<std::result::Result<_, _>>()?;
    let expected = |from: &str, to: &str, cause: &str| {
        json!({
            "instance": "VI_1",
            "group": null,
            "from": from,
            "to": to,
            "cause": cause,
            "priority": HIGH,
            "addresses": ["192.168.224.100/24"],
            "again": false,
        })
    };
    let cause = daemon.instance("VI_1")?.cause;
    assert_eq!(
        heard[0],
        expected("init", "backup", "started, listening first")
    );
    assert_eq!(heard[1], expected("backup", "master", &cause));
    Ok(())
}

pub(crate) fn a_script_for_keepalived_is_given_what_keepalived_gives() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let ear = Ear::on(&a.host)?;
    let notify = json!({ "any": ["/run/say", "own"], "style": "keepalived" });
    let daemon = Vrrpd::start(&a.host, &told(notify))?;
    let backup = "own INSTANCE VI_1 BACKUP 200";
    let master = "own INSTANCE VI_1 MASTER 200";
    ear.hears(&[backup, master])?;
    let pulled = Moment::now();
    a.cable.pull()?;
    daemon.wait_for("VI_1", Master, Fault, pulled, SOON)?;
    let fault = "own INSTANCE VI_1 FAULT 200";
    ear.hears(&[backup, master, fault])?;
    assert!(daemon.stop()?.success());
    ear.hears(&[backup, master, fault, "own INSTANCE VI_1 STOP 200"])
}

pub(crate) fn the_stop_is_told_before_the_daemon_ends_and_after_it_has_handed_over() -> Outcome {
    let host = Host::new("a")?;
    let systemd = Told::on(&host)?;
    let lan = Lan::new()?;
    let a = lan.plug_in(host, 11)?;
    let ear = Ear::on(&a.host)?;
    let notify = json!({ "master": ["/run/held"], "stop": ["/run/held"], "timeout": "20s" });
    a.host.write("/run/vrrpd.json", told(notify), 0o600)?;
    let mut command = Command::new(vrrpd_program()?);
    command
        .args(["run", "--config", "/run/vrrpd.json"])
        .env("NOTIFY_SOCKET", "/run/notify");
    let daemon = a.host.spawn(command)?;
    ear.hears(&["begin master"])?;
    let stopped = Moment::now();
    daemon.kill(Signal::SIGTERM)?;
    lan.advert(stopped, |advert| advert.priority == 0)?;
    a.address_event(VIP, false, stopped)?;
    let words = systemd.wait_for(|words| {
        words
            .iter()
            .any(|word| word.starts_with("EXTEND_TIMEOUT_USEC="))
    })?;
    let micros: u64 = words[0]
        .trim_start_matches("EXTEND_TIMEOUT_USEC=")
        .parse()?;
    let longest = Duration::from_micros(micros);
    let [least, most] = [20, 41].map(Duration::from_secs);
    assert!((least..=most).contains(&longest), "{longest:?}");
    let program = vrrpd_program()?.display().to_string();
    let asked = a.host.exec(&[&program, "status"])?;
    assert_eq!(
        String::from_utf8_lossy(&asked.stderr),
        "vrrpd: the daemon is stopping\n"
    );
    ear.lets_go()?;
    ear.hears(&["begin master", "end master", "begin init"])?;
    assert!(daemon.is_running(), "it waits for its last word");
    ear.lets_go()?;
    assert!(daemon.wait(SOON)?.success());
    ear.hears(&["begin master", "end master", "begin init", "end init"])
}

pub(crate) fn who_is_told_to_stop_twice_waits_for_nobody() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let ear = Ear::on(&a.host)?;
    let daemon = Vrrpd::start(&a.host, &told(json!({ "stop": ["/run/held"] })))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    daemon.process().kill(Signal::SIGTERM)?;
    ear.hears(&["begin init"])?;
    assert!(daemon.stop()?.success());
    let said = "not everybody was told of the stop: what still runs for that is killed";
    daemon
        .process()
        .wait_for_line(|line| line.ends_with(said), SOON)?;
    assert_gone(&a.host, "^/bin/sh /run/held")?;
    Ok(())
}

pub(crate) fn a_reload_tells_what_it_ends_by_the_former_command_and_the_rest_again() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let ear = Ear::on(&a.host)?;
    let instances = |first: Option<&str>, second: &str| {
        let notify = |name: &str| {
            let words = format!(
                "echo {name} $VRRP_INSTANCE $VRRP_TO $VRRP_PRIORITY $VRRP_AGAIN > /run/told"
            );
            json!({ "any": ["/bin/sh", "-c", words], "onReload": true, "onStart": false })
        };
        let other = json!({ "virtualRouterId": 52, "virtualAddresses": ["192.168.224.101/24"] });
        let mut instances = json!({
            "VI_2": with(with(instance(HIGH), other), json!({ "notify": notify(second) })),
        });
        if let Some(first) = first {
            instances["VI_1"] = with(instance(HIGH), json!({ "notify": notify(first) }));
        }
        config(instances)
    };
    let daemon = Vrrpd::start(&a.host, &instances(Some("a"), "a"))?;
    for instance in ["VI_1", "VI_2"] {
        daemon.wait_for_state(instance, Master, SOON)?;
    }
    let mut lines = ear.lines(2)?;
    lines.sort();
    assert_eq!(
        lines,
        ["a VI_1 master 200 false", "a VI_2 master 200 false"]
    );
    daemon.reload(&instances(None, "b"))?;
    let mut lines = ear.lines(4)?.split_off(2);
    lines.sort();
    assert_eq!(lines, ["a VI_1 init 200 false", "b VI_2 master 200 true"]);
    let status = daemon.status()?;
    assert_eq!(status.instances.len(), 1);
    Ok(())
}

pub(crate) fn a_group_is_told_of_once_and_knows_its_name() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let ear = Ear::on(&a.host)?;
    let words = "echo $VRRP_GROUP $VRRP_INSTANCE $VRRP_TO > /run/told";
    let notify = json!({ "any": ["/bin/sh", "-c", words] });
    let other = json!({ "virtualRouterId": 52, "virtualAddresses": ["192.168.224.101/24"] });
    let document = json!({
        "instances": { "VI_1": instance(HIGH), "VI_2": with(instance(HIGH), other) },
        "syncGroups": { "VG_1": { "members": ["VI_1", "VI_2"], "notify": notify } },
    });
    let daemon = Vrrpd::start(&a.host, &document.to_string())?;
    ear.hears(&["VG_1 backup", "VG_1 master"])?;
    for instance in ["VI_1", "VI_2"] {
        daemon.wait_for_state(instance, Master, SOON)?;
    }
    let group = daemon.status()?.groups.remove(0);
    let told = group.notify.and_then(|notify| notify.last);
    assert!(told.is_none_or(|last| last.succeeded), "each did well");
    assert!(daemon.stop()?.success());
    ear.hears(&["VG_1 backup", "VG_1 master", "VG_1 init"])
}

/// The configuration of a master that tells so.
fn told(notify: Value) -> String {
    only(with(instance(HIGH), json!({ "notify": notify })))
}

/// A command that says something.
fn say(word: &str) -> Value {
    json!(["/run/say", word])
}

fn status(daemon: &Vrrpd<'_>) -> Result<NotifyStatus> {
    let missing = || Error::new("asking vrrpd for its status", "nobody is told of VI_1");
    daemon.instance("VI_1")?.notify.ok_or_else(missing)
}

/// What commands on a host say, by a FIFO.
struct Ear<'h> {
    host: &'h Host,
    reader: Process,
}

impl<'h> Ear<'h> {
    fn on(host: &'h Host) -> Result<Self> {
        host.write("/run/held", HELD, 0o755)?;
        host.write("/run/say", "#!/bin/sh\necho \"$@\" > /run/told\n", 0o755)?;
        host.shell("mkfifo /run/told /run/go")?;
        let mut command = Command::new("/bin/sh");
        // Both ends of both stay open, so that nobody waits for whoever opens the other one.
        command.args(["-c", "exec 3<>/run/go 4<>/run/told; exec cat <&4"]);
        let reader = host.spawn(command)?;
        Ok(Self { host, reader })
    }

    /// The first `count` lines, waiting for them.
    fn lines(&self, count: usize) -> Result<Vec<String>> {
        let output = self.reader.output();
        let last = count.saturating_sub(1);
        if output.wait_from(last, |_| true, SOON).is_none() {
            let heard = self.reader.log();
            return Err(Error::new(format!("waiting for {count} lines"), heard));
        }
        Ok(output.entries().into_iter().map(|line| line.text).collect())
    }

    /// Waits until all these lines have come, and asserts that there were no others.
    fn hears(&self, lines: &[&str]) -> Outcome {
        assert_eq!(self.lines(lines.len())?, lines);
        Ok(())
    }

    /// Lets a command that is held go on.
    fn lets_go(&self) -> Result<()> {
        self.host.shell("echo > /run/go").map(drop)
    }
}
