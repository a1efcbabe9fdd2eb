//! The daemon as a process: its start, systemd, its log, its control socket.

use std::io::Read;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use vrrp_lab::daemons::{Vrrpd, vrrpd_program};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Host, Moment, Process, Result, Signal};
use vrrp_proto::State::{Backup, Master};

use crate::common::{INTERVAL, Lan, SOON, VIP, assert_rhythm, config, instance, only, with};
use crate::pair::{HIGH, Pair};

pub(crate) fn a_second_daemon_refuses_and_leaves_the_first_alone() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start()?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let events = pair.a.address_events();
    let second = Vrrpd::launch(&pair.a.host, &only(instance(HIGH)))?;
    assert_eq!(second.process().wait(SOON)?.code(), Some(1));
    let refusal = "vrrpd: cannot listen at /run/vrrpd/control.sock: another vrrpd is running \
                   there; give this one a --runtime-dir of its own";
    second
        .process()
        .wait_for_line(|line| line == refusal, SOON)?;
    pair.lan.pass(&pair.a, 6)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(pair.a.address_events(), events);
    assert_eq!(a.instance("VI_1")?.state, Master, "status still answers");
    Ok(())
}

pub(crate) fn without_a_configuration_it_says_so_and_ends() -> Outcome {
    let host = Host::new("a")?;
    let program = vrrpd_program()?.display().to_string();
    let output = host.exec(&[&program, "run", "--config", "/run/none.json"])?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("/run/none.json") && said.contains("No such file"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    Ok(())
}

pub(crate) fn a_wrong_configuration_is_named_and_touches_nothing() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let daemon = Vrrpd::launch(
        &a.host,
        &only(with(instance(HIGH), json!({ "virtualRouterId": 0 }))),
    )?;
    assert_eq!(daemon.process().wait(SOON)?.code(), Some(2));
    let named = |line: &str| line == "instances.VI_1.virtualRouterId = 0: must be 1 to 255";
    daemon.process().wait_for_line(named, SOON)?;
    assert!(!a.host.holds(VIP)?);
    assert!(
        a.host.shell("ls /run/vrrpd").is_err(),
        "it made its directory"
    );
    Ok(())
}

pub(crate) fn systemd_is_told_what_it_wants_to_know() -> Outcome {
    let host = Host::new("a")?;
    let told = Told::on(&host)?;
    let lan = Lan::new()?;
    let a = lan.plug_in(host, 11)?;
    a.host
        .write("/run/vrrpd.json", only(instance(HIGH)), 0o600)?;
    let mut command = Command::new(vrrpd_program()?);
    command
        .args(["run", "--config", "/run/vrrpd.json"])
        .env("NOTIFY_SOCKET", "/run/notify")
        .env("WATCHDOG_USEC", "400000");
    let started = Moment::now();
    let daemon = a.host.spawn(command)?;
    let words = told.wait_for(|words| words.contains(&"READY=1"))?;
    assert_eq!(words, ["READY=1", "STATUS=0 master, 1 backup, 0 in fault"]);
    told.wait_for(|words| words.contains(&"STATUS=1 master, 0 backup, 0 in fault"))?;
    for _ in 0..6 {
        told.wait_for(|words| words.contains(&"WATCHDOG=1"))?;
    }
    let fed = started.elapsed();
    assert!(
        fed > Duration::from_millis(900),
        "fed six times in {fed:?}, at 400 ms"
    );

    // As `Type=notify-reload` wants it: the time of the monotonic clock in the same message.
    daemon.kill(Signal::SIGHUP)?;
    let words = told.wait_for(|words| words.contains(&"RELOADING=1"))?;
    let stamp = words
        .iter()
        .find_map(|word| word.strip_prefix("MONOTONIC_USEC="));
    let stamp: u64 = stamp.ok_or_else(|| format!("{words:?}"))?.parse()?;
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    let ago = Duration::from(now).checked_sub(Duration::from_micros(stamp));
    assert!(ago.is_some_and(|ago| ago < SOON), "{stamp} at {now}");
    told.wait_for(|words| words.contains(&"READY=1"))?;

    // A reload that is refused ends too, or systemd would wait for it.
    a.host.write("/run/vrrpd.json", "{", 0o600)?;
    daemon.kill(Signal::SIGHUP)?;
    told.wait_for(|words| words.contains(&"RELOADING=1"))?;
    told.wait_for(|words| words.contains(&"READY=1"))?;

    daemon.kill(Signal::SIGTERM)?;
    told.wait_for(|words| words.contains(&"STOPPING=1"))?;
    assert!(daemon.wait(SOON)?.success());
    Ok(())
}

pub(crate) fn the_journal_gets_the_values_as_fields() -> Outcome {
    let host = Host::new("a")?;
    host.shell("mkdir -p /run/systemd/journal")?;
    let journal = Told::at(&host, "/run/systemd/journal/socket")?;
    let lan = Lan::new()?;
    let a = lan.plug_in(host, 11)?;
    a.host
        .write("/run/vrrpd.json", only(instance(HIGH)), 0o600)?;
    let program = vrrpd_program()?.display().to_string();
    // As systemd says that standard error is the journal.
    let script = format!(
        "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2); \
         exec {program} run --config /run/vrrpd.json"
    );
    let daemon = shell(&a.host, &script)?;
    let lines = journal.wait_for(|lines| {
        let has = |part: &str| lines.iter().any(|line| line.contains(part));
        has("VI_1: backup -> master (priority") && has("no advertisement from anybody")
    })?;
    for field in [
        "VRRP_INSTANCE",
        "VRRP_FROM",
        "VRRP_TO",
        "VRRP_CAUSE",
        "VRRP_PRIORITY",
    ] {
        let there = lines.iter().any(|line| line.starts_with(field));
        assert!(there, "{field} in {lines:?}");
    }
    assert_eq!(daemon.log(), "", "nothing on standard error");
    Ok(())
}

pub(crate) fn a_log_that_is_stuck_delays_nothing() -> Outcome {
    let pair = Pair::new()?;
    let b = Vrrpd::start(&pair.b.host, &only(instance(100)))?;
    b.wait_for_state("VI_1", Master, SOON)?;
    pair.a
        .host
        .write("/run/vrrpd.json", only(instance(HIGH)), 0o600)?;
    // The pipe is full before the daemon starts, and its only reader is the daemon, which does not.
    let program = vrrpd_program()?.display().to_string();
    let script = format!(
        "mkfifo /run/stuck; exec 3<>/run/stuck; head -c 65536 /dev/zero >&3; \
         exec {program} run --config /run/vrrpd.json --verbose 2>&3"
    );
    let a = shell(&pair.a.host, &script)?;
    let from = pair.lan.advert_of(&pair.a, Moment::default())?.at;
    pair.a.address_event(VIP, true, Moment::default())?;
    // Something to tell of again and again.
    for _ in 0..20 {
        let deleted = Moment::now();
        pair.a.host.delete_address("ens33", VIP)?;
        pair.a.address_event(VIP, true, deleted)?;
        pair.lan.pass(&pair.a, 1)?;
        a.kill(Signal::SIGHUP)?;
    }
    pair.lan.pass(&pair.a, 5)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    let status = pair.a.host.shell(&format!("{program} status"))?;
    assert!(
        status.contains("20 times a virtual address was taken away"),
        "{status}"
    );
    let told = Moment::now();
    assert!(a.terminate(SOON)?.success(), "it hands over in order");
    b.wait_for("VI_1", Backup, Master, told, SOON)?;
    Ok(())
}

pub(crate) fn clients_that_do_not_read_disturb_nobody() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    // So many that a status does not fit a socket's buffer.
    let instances: serde_json::Map<_, _> = (1..=250)
        .map(|vrid| {
            let keys = json!({
                "virtualRouterId": vrid,
                // That many in a debug build are work.
                "advertInterval": "500ms",
                "virtualAddresses": [format!("192.168.225.{vrid}/24")],
            });
            (format!("VI_{vrid}"), with(instance(HIGH), keys))
        })
        .collect();
    let daemon = Vrrpd::start(&a.host, &config(instances.into()))?;
    for vrid in [1, 250] {
        daemon.wait_for_state(&format!("VI_{vrid}"), Master, SOON)?;
    }
    let from = lan.advert(Moment::now(), |advert| advert.vrid == 7)?.at;
    let silent: Vec<UnixStream> = a.host.run(|| {
        (0..40)
            .map(|_| UnixStream::connect("/run/vrrpd/control.sock"))
            .collect::<Result<_, _>>()
    })?;
    let mut last = from;
    for _ in 0..8 {
        last = lan.advert(last, |advert| advert.vrid == 7)?.at;
    }
    assert_rhythm(&lan.adverts_of(&a, 7, from), INTERVAL * 5);
    assert_eq!(
        daemon.status()?.instances.len(),
        250,
        "whoever does read is answered"
    );
    // They are let go and not kept for ever.
    let mut first = &silent[0];
    first.set_read_timeout(Some(SOON))?;
    let mut answer = Vec::new();
    first.read_to_end(&mut answer)?;
    assert!(!answer.is_empty());
    Ok(())
}

/// The other end of systemd's socket.
pub(crate) struct Told {
    socket: UnixDatagram,
}

impl Told {
    pub(crate) fn on(host: &Host) -> Result<Self, std::io::Error> {
        Self::at(host, "/run/notify")
    }

    fn at(host: &Host, path: &str) -> Result<Self, std::io::Error> {
        let socket = host.run(|| UnixDatagram::bind(path))?;
        socket.set_read_timeout(Some(SOON))?;
        Ok(Self { socket })
    }

    /// The words of the next message that is `wanted`.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&[&str]) -> bool) -> Result<Vec<String>> {
        let mut buffer = [0; 4096];
        let mut seen = Vec::new();
        let started = Moment::now();
        while started.elapsed() < SOON {
            let length = self
                .socket
                .recv(&mut buffer)
                .map_err(|error| Error::new("waiting for a message to systemd", error))?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let words: Vec<&str> = text.lines().collect();
            if wanted(&words) {
                return Ok(words.into_iter().map(String::from).collect());
            }
            seen.push(text);
        }
        Err(Error::new(
            "waiting for a message to systemd",
            format!("it did not come, but {seen:?}"),
        ))
    }
}

fn shell(host: &Host, script: &str) -> Result<Process> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    host.spawn(command)
}
