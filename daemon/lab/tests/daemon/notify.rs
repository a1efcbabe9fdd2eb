//! Notification commands: their order, retries, timeouts and the end at a stop.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, vrrpd_program};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Host, Impairment, Moment, Process, Result, Signal};
use vrrp_proto::State::{Backup, Fault, Init, Master};
use vrrp_proto::notify::Event;
use vrrp_proto::snapshot::NotifyStatus;

use crate::common::{
    INTERVAL, Lan, SOON, VIP, assert_rhythm, config, down_interval, instance, only, with,
};
use crate::pair::{HIGH, LOW, Pair};
use crate::process::NotifySocket;
use crate::trackers::assert_gone;

/// Script that reports its begin, waits for a line in /run/go, and reports its end.
const HELD: &str = r#"#!/bin/sh
echo "begin $VRRP_TO" > /run/lines
read word < /run/go
echo "end $VRRP_TO" > /run/lines
"#;

pub(crate) fn slow_command_receives_newest_state_next() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let listener = Listener::on(&a.host)?;
    let daemon = Vrrpd::start(&a.host, &notifying(json!({ "any": ["/run/held"] })))?;
    listener.expect_lines(&["begin backup"])?;
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
    assert_eq!(
        status.running,
        Some(Event::Backup),
        "the first command is still running"
    );
    assert_eq!((status.waiting, status.dropped), (vec![Event::Master], 9));
    assert_eq!((status.runs, status.last), (0, None));
    listener.release()?;
    listener.expect_lines(&["begin backup", "end backup", "begin master"])?;
    listener.release()?;
    let all = ["begin backup", "end backup", "begin master", "end master"];
    listener.expect_lines(&all)?;
    let stopped = Moment::now();
    daemon.process().kill(Signal::SIGTERM)?;
    daemon.wait_for("VI_1", Master, Init, stopped, SOON)?;
    listener.release()?;
    assert!(daemon.process().wait(SOON)?.success());
    listener.expect_lines(&[&all[..], &["begin init", "end init"]].concat())
}

pub(crate) fn hanging_command_is_killed_and_next_one_runs() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let listener = Listener::on(&a.host)?;
    let hang = "#!/bin/sh\necho hangs > /run/lines\nsleep 4711 & wait\n";
    a.host.write("/run/hang", hang, 0o755)?;
    let notify = json!({ "backup": ["/run/hang"], "master": say("master"), "timeout": "2s" });
    let daemon = Vrrpd::start(&a.host, &notifying(notify))?;
    let from = lan.advert_of(&a, Moment::default())?.at;
    let said = "VI_1: notify command for backup failed: killed, because it took longer than 2 s; no further attempt";
    daemon
        .process()
        .wait_for_line(|line| line.ends_with(said), SOON)?;
    listener.expect_lines(&["hangs", "master"])?;
    assert_gone(&a.host, "^sleep 4711$")?;
    let status = status(&daemon)?;
    assert_eq!(status.failures, 1);
    // The hanging command delayed no advertisement.
    lan.pass(&a, 3)?;
    assert_rhythm(&lan.adverts_of(&a, 51, from), INTERVAL);
    Ok(())
}

pub(crate) fn failed_command_is_retried_until_success() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let listener = Listener::on(&a.host)?;
    let fail = "#!/bin/sh\n[ -e /run/up ] && exec /run/say master\necho no connection\nexit 7\n";
    a.host.write("/run/fail", fail, 0o755)?;
    let daemon = Vrrpd::start(&a.host, &notifying(json!({ "master": ["/run/fail"] })))?;
    let said =
        "VI_1: notify command for master failed: exit status: 7: no connection; retrying in 1 s";
    daemon
        .process()
        .wait_for_line(|line| line.ends_with(said), SOON)?;
    let failed = status(&daemon)?;
    let last = failed.last.ok_or("no command was run")?;
    assert_eq!((last.event, last.succeeded), (Event::Master, false));
    assert_eq!(&*last.detail, "exit status: 7: no connection");
    a.host.write("/run/up", "", 0o644)?;
    listener.expect_lines(&["master"])
}

pub(crate) fn notification_json_reaches_fifo_through_command() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let listener = Listener::on(&a.host)?;
    let write = json!(["/bin/sh", "-c", "cat > /run/lines"]);
    let daemon = Vrrpd::start(&a.host, &notifying(json!({ "any": write })))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    let lines = listener.lines(2)?;
    let received: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line))
        .collect::<std::result::Result<_, _>>()?;
    let expected = |from: &str, to: &str, cause: &str| {
        json!({
            "instance": "VI_1",
            "group": null,
            "event": to,
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
        received[0],
        expected("init", "backup", "started, listening first")
    );
    assert_eq!(received[1], expected("backup", "master", &cause));
    Ok(())
}

pub(crate) fn keepalived_script_receives_keepalived_arguments() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let listener = Listener::on(&a.host)?;
    let notify = json!({ "any": ["/run/say", "own"], "style": "keepalived" });
    let daemon = Vrrpd::start(&a.host, &notifying(notify))?;
    let backup = "own INSTANCE VI_1 BACKUP 200";
    let master = "own INSTANCE VI_1 MASTER 200";
    listener.expect_lines(&[backup, master])?;
    let pulled = Moment::now();
    a.cable.pull()?;
    daemon.wait_for("VI_1", Master, Fault, pulled, SOON)?;
    let fault = "own INSTANCE VI_1 FAULT 200";
    listener.expect_lines(&[backup, master, fault])?;
    assert!(daemon.stop()?.success());
    listener.expect_lines(&[backup, master, fault, "own INSTANCE VI_1 STOP 200"])
}

pub(crate) fn stop_notification_follows_handover_and_precedes_exit() -> Outcome {
    let host = Host::new("a")?;
    let systemd = NotifySocket::on(&host)?;
    let lan = Lan::new()?;
    let a = lan.plug_in(host, 11)?;
    let listener = Listener::on(&a.host)?;
    let notify = json!({ "master": ["/run/held"], "stop": ["/run/held"], "timeout": "20s" });
    a.host.write("/run/vrrpd.json", notifying(notify), 0o600)?;
    let mut command = Command::new(vrrpd_program()?);
    command
        .args(["run", "--config", "/run/vrrpd.json"])
        .env("NOTIFY_SOCKET", "/run/notify");
    let daemon = a.host.spawn(command)?;
    listener.expect_lines(&["begin master"])?;
    let stopped = Moment::now();
    daemon.kill(Signal::SIGTERM)?;
    lan.advert(stopped, |advert| advert.priority == 0)?;
    a.address_event(VIP, false, stopped)?;
    let extends = |words: &[&str]| {
        words
            .iter()
            .any(|word| word.starts_with("EXTEND_TIMEOUT_USEC="))
    };
    // The first one is for the hand-over.
    systemd.wait_for(extends)?;
    let words = systemd.wait_for(extends)?;
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
    listener.release()?;
    listener.expect_lines(&["begin master", "end master", "begin init"])?;
    assert!(
        daemon.is_running(),
        "the daemon waits for the last notification"
    );
    listener.release()?;
    assert!(daemon.wait(SOON)?.success());
    listener.expect_lines(&["begin master", "end master", "begin init", "end init"])
}

pub(crate) fn second_stop_signal_kills_running_notifications() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let listener = Listener::on(&a.host)?;
    let daemon = Vrrpd::start(&a.host, &notifying(json!({ "stop": ["/run/held"] })))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    daemon.process().kill(Signal::SIGTERM)?;
    listener.expect_lines(&["begin init"])?;
    assert!(daemon.stop()?.success());
    let said = "notify commands of the stop did not end in time: killing them";
    daemon
        .process()
        .wait_for_line(|line| line.ends_with(said), SOON)?;
    assert_gone(&a.host, "^/bin/sh /run/held")?;
    Ok(())
}

pub(crate) fn reload_notifies_removed_and_remaining_instances() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let listener = Listener::on(&a.host)?;
    let instances = |first: Option<&str>, second: &str| {
        let notify = |name: &str| {
            let words = format!(
                "echo {name} $VRRP_INSTANCE $VRRP_TO $VRRP_PRIORITY $VRRP_AGAIN > /run/lines"
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
    let mut lines = listener.lines(2)?;
    lines.sort();
    assert_eq!(
        lines,
        ["a VI_1 master 200 false", "a VI_2 master 200 false"]
    );
    daemon.reload(&instances(None, "b"))?;
    let mut lines = listener.lines(4)?.split_off(2);
    lines.sort();
    assert_eq!(lines, ["a VI_1 init 200 false", "b VI_2 master 200 true"]);
    let status = daemon.status()?;
    assert_eq!(status.instances.len(), 1);
    Ok(())
}

pub(crate) fn group_notification_is_sent_once_with_name() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let listener = Listener::on(&a.host)?;
    let words = "echo $VRRP_GROUP $VRRP_INSTANCE $VRRP_TO > /run/lines";
    let notify = json!({ "any": ["/bin/sh", "-c", words] });
    let other = json!({ "virtualRouterId": 52, "virtualAddresses": ["192.168.224.101/24"] });
    let document = json!({
        "instances": { "VI_1": instance(HIGH), "VI_2": with(instance(HIGH), other) },
        "syncGroups": { "VG_1": { "members": ["VI_1", "VI_2"], "notify": notify } },
    });
    let daemon = Vrrpd::start(&a.host, &document.to_string())?;
    listener.expect_lines(&["VG_1 backup", "VG_1 master"])?;
    for instance in ["VI_1", "VI_2"] {
        daemon.wait_for_state(instance, Master, SOON)?;
    }
    let group = daemon.status()?.groups.remove(0);
    let last = group.notify.and_then(|notify| notify.last);
    assert!(last.is_none_or(|last| last.succeeded), "no command failed");
    assert!(daemon.stop()?.success());
    listener.expect_lines(&["VG_1 backup", "VG_1 master", "VG_1 init"])
}

pub(crate) fn contested_master_is_notified_when_second_master_has_gone() -> Outcome {
    let pair = Pair::new()?;
    let listener = Listener::on(&pair.a.host)?;
    // Without `contested` the program of `master` runs again.
    let words = "echo $VRRP_EVENT $VRRP_FROM $VRRP_TO $VRRP_AGAIN > /run/lines";
    let notify = json!({ "master": ["/bin/sh", "-c", words] });
    let (a, b) = pair.start_with(&notifying(notify), &only(instance(LOW)))?;
    listener.expect_lines(&["master backup master false"])?;
    pair.b.cable.set(Impairment::deaf())?;
    b.wait_for_state("VI_1", Master, SOON)?;
    // Long enough that the first master sees the second one for more than a master-down interval.
    pair.lan.pass(&pair.b, 6)?;
    assert_eq!(status(&a)?.runs, 1, "the second master is still there");
    let healed = Moment::now();
    pair.b.cable.set(Impairment::default())?;
    b.wait_for("VI_1", Master, Backup, healed, SOON)?;
    let all = ["master backup master false", "contested master master true"];
    listener.expect_lines(&all)?;
    let told = listener.reader.output().entries()[1].at;
    let last = pair.lan.adverts_of(&pair.b, 51, Moment::default());
    let last = last.last().ok_or("no advertisement of b")?.at;
    let wait = down_interval(HIGH, INTERVAL);
    assert!(told >= last + wait, "{last:?} and {told:?}");
    let line = a
        .process()
        .wait_for_line(|line| line.contains("VI_1: still master"), SOON)?;
    let text = "192.168.224.12 (priority 100) was master too and has gone";
    assert!(line.text.ends_with(text), "{}", line.text);
    let status = a.instance("VI_1")?;
    assert_eq!((status.state, status.counters.contests), (Master, 1));
    let last = status.notify.and_then(|notify| notify.last);
    assert_eq!(last.map(|last| last.event), Some(Event::Contested));
    Ok(())
}

pub(crate) fn contested_group_is_notified_once_and_each_instance() -> Outcome {
    let pair = Pair::new()?;
    let listener = Listener::on(&pair.a.host)?;
    let document = |priority: u8, notify: &str| {
        let notify = |subject: &str| {
            let words = format!("{notify} {subject} $VRRP_EVENT > /run/lines");
            json!({ "contested": ["/bin/sh", "-c", words], "stop": ["/bin/sh", "-c", words] })
        };
        let named = |name: &str| with(instance(priority), json!({ "notify": notify(name) }));
        let other = json!({ "virtualRouterId": 52, "virtualAddresses": ["192.168.224.101/24"] });
        let document = json!({
            "instances": { "VI_1": named("VI_1"), "VI_2": with(named("VI_2"), other) },
            "syncGroups": { "VG_1": { "members": ["VI_1", "VI_2"], "notify": notify("VG_1") } },
        });
        document.to_string()
    };
    let (a, b) = pair.start_with(&document(HIGH, "echo"), &document(LOW, "true"))?;
    pair.b.cable.set(Impairment::deaf())?;
    b.wait_for_state("VI_1", Master, SOON)?;
    pair.lan.pass(&pair.b, 6)?;
    let healed = Moment::now();
    pair.b.cable.set(Impairment::default())?;
    b.wait_for("VI_1", Master, Backup, healed, SOON)?;
    let sorted = |count| {
        let mut lines = listener.lines(count)?;
        lines.sort();
        Ok::<_, Error>(lines)
    };
    let contested = ["VG_1 contested", "VI_1 contested", "VI_2 contested"];
    assert_eq!(sorted(3)?, contested);
    assert!(a.stop()?.success());
    let stopped = ["VG_1 stop", "VI_1 stop", "VI_2 stop"];
    let mut all = [contested, stopped].concat();
    all.sort_unstable();
    assert_eq!(sorted(6)?, all);
    Ok(())
}

/// Returns the configuration of a master with this `notify` option.
fn notifying(notify: Value) -> String {
    only(with(instance(HIGH), json!({ "notify": notify })))
}

/// Returns a notification command that writes `word` to the FIFO.
fn say(word: &str) -> Value {
    json!(["/run/say", word])
}

fn status(daemon: &Vrrpd<'_>) -> Result<NotifyStatus> {
    let missing = || Error::new("reading the status", "no notify of VI_1");
    daemon.instance("VI_1")?.notify.ok_or_else(missing)
}

/// Reader of the FIFO that the commands on a host write to.
struct Listener<'h> {
    host: &'h Host,
    reader: Process,
}

impl<'h> Listener<'h> {
    fn on(host: &'h Host) -> Result<Self> {
        host.write("/run/held", HELD, 0o755)?;
        host.write("/run/say", "#!/bin/sh\necho \"$@\" > /run/lines\n", 0o755)?;
        host.shell("mkfifo /run/lines /run/go")?;
        let mut command = Command::new("/bin/sh");
        // Both ends of both FIFOs stay open, so that opening one never blocks.
        command.args(["-c", "exec 3<>/run/go 4<>/run/lines; exec cat <&4"]);
        let reader = host.spawn(command)?;
        Ok(Self { host, reader })
    }

    /// Waits for `count` lines and returns them.
    fn lines(&self, count: usize) -> Result<Vec<String>> {
        let output = self.reader.output();
        let last = count.saturating_sub(1);
        if output.wait_from(last, |_| true, SOON).is_none() {
            let received = self.reader.log();
            return Err(Error::new(format!("waiting for {count} lines"), received));
        }
        Ok(output.entries().into_iter().map(|line| line.text).collect())
    }

    /// Waits for as many lines and asserts that they are these.
    fn expect_lines(&self, lines: &[&str]) -> Outcome {
        assert_eq!(self.lines(lines.len())?, lines);
        Ok(())
    }

    /// Lets a waiting command continue.
    fn release(&self) -> Result<()> {
        self.host.shell("echo > /run/go").map(drop)
    }
}
