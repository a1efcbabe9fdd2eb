//! The daemon as a process: its start, systemd, its log, its control socket.

use std::io::Read;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use vrrp_lab::daemons::{Vrrpd, vrrpd_program};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Host, Moment, Process, Result, Signal};
use vrrp_proto::State::{Backup, Master};

use crate::common::{INTERVAL, Lan, SOON, VIP, assert_rhythm, config, instance, only, with};
use crate::pair::{HIGH, Pair};

pub(crate) fn second_daemon_exits_without_touching_first() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start()?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let events = pair.a.address_events();
    let program = vrrpd_program()?.display().to_string();
    // A service manager that restarts the second one for hours must not succeed.
    let claim = SocketAddr::from_abstract_name("vrrpd")?;
    let attempts = || (0..5_000).try_for_each(|_| UnixStream::connect_addr(&claim).map(drop));
    pair.a.host.run(attempts)?;
    // Another directory is no way out: the addresses are in the same place.
    for directory in ["/run/vrrpd", "/run/elsewhere"] {
        let config = ["run", "--config", "/run/vrrpd.json"];
        let place = ["--runtime-dir", directory];
        let command: Vec<&str> = [&*program].into_iter().chain(config).chain(place).collect();
        let second = pair.a.host.exec(&command)?;
        assert_eq!(second.status.code(), Some(1));
        let refusal = String::from_utf8_lossy(&second.stderr);
        assert!(
            refusal.starts_with("vrrpd: another vrrpd runs in this network namespace (process ")
                && refusal.contains(" and would delete the addresses of this one; ")
                && refusal.contains(" --take-over"),
            "{refusal}"
        );
    }
    pair.lan.pass(&pair.a, 6)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(pair.a.address_events(), events);
    assert_eq!(a.instance("VI_1")?.state, Master, "status still answers");
    Ok(())
}

pub(crate) fn missing_configuration_file_is_reported_at_exit() -> Outcome {
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

pub(crate) fn invalid_configuration_is_reported_and_touches_nothing() -> Outcome {
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
        "the daemon created its runtime directory"
    );
    Ok(())
}

pub(crate) fn systemd_receives_readiness_status_watchdog_and_reload() -> Outcome {
    let host = Host::new("a")?;
    let systemd = NotifySocket::on(&host)?;
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
    let words = systemd.wait_for(|words| words.contains(&"READY=1"))?;
    assert_eq!(words, ["READY=1", "STATUS=0 master, 1 backup, 0 in fault"]);
    systemd.wait_for(|words| words.contains(&"STATUS=1 master, 0 backup, 0 in fault"))?;
    for _ in 0..6 {
        systemd.wait_for(|words| words.contains(&"WATCHDOG=1"))?;
    }
    let fed = started.elapsed();
    assert!(
        fed > Duration::from_millis(900),
        "fed six times in {fed:?}, at 400 ms"
    );

    // `Type=notify-reload` requires the time of the monotonic clock in the same message.
    daemon.kill(Signal::SIGHUP)?;
    let words = systemd.wait_for(|words| words.contains(&"RELOADING=1"))?;
    let stamp = words
        .iter()
        .find_map(|word| word.strip_prefix("MONOTONIC_USEC="));
    let stamp: u64 = stamp.ok_or_else(|| format!("{words:?}"))?.parse()?;
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    let ago = Duration::from(now).checked_sub(Duration::from_micros(stamp));
    assert!(ago.is_some_and(|ago| ago < SOON), "{stamp} at {now}");
    systemd.wait_for(|words| words.contains(&"READY=1"))?;

    // A rejected reload ends with READY=1 too, or systemd would wait for it.
    a.host.write("/run/vrrpd.json", "{", 0o600)?;
    daemon.kill(Signal::SIGHUP)?;
    systemd.wait_for(|words| words.contains(&"RELOADING=1"))?;
    systemd.wait_for(|words| words.contains(&"READY=1"))?;

    // A FIFO stands for a file system that does not answer.
    a.host
        .shell("rm /run/vrrpd.json && mkfifo /run/vrrpd.json")?;
    daemon.kill(Signal::SIGHUP)?;
    systemd.wait_for(|words| words.contains(&"RELOADING=1"))?;
    for _ in 0..6 {
        systemd.wait_for(|words| words.contains(&"WATCHDOG=1"))?;
    }
    daemon.kill(Signal::SIGTERM)?;
    systemd.wait_for(|words| words.contains(&"STOPPING=1"))?;
    assert!(daemon.wait(SOON)?.success());
    Ok(())
}

pub(crate) fn journal_entries_have_fields() -> Outcome {
    let host = Host::new("a")?;
    host.shell("mkdir -p /run/systemd/journal")?;
    let journal = NotifySocket::at(&host, "/run/systemd/journal/socket")?;
    let lan = Lan::new()?;
    let a = lan.plug_in(host, 11)?;
    a.host
        .write("/run/vrrpd.json", only(instance(HIGH)), 0o600)?;
    let program = vrrpd_program()?.display().to_string();
    // systemd sets JOURNAL_STREAM when standard error is the journal.
    let script = format!(
        "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2); \
         exec {program} run --config /run/vrrpd.json"
    );
    let daemon = shell(&a.host, &script)?;
    let lines = journal.wait_for(|lines| {
        let has = |part: &str| lines.iter().any(|line| line.contains(part));
        has("VI_1: backup -> master (priority") && has("no advertisement from any router")
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

pub(crate) fn blocked_log_delays_no_advertisement() -> Outcome {
    let pair = Pair::new()?;
    let b = Vrrpd::start(&pair.b.host, &only(instance(100)))?;
    b.wait_for_state("VI_1", Master, SOON)?;
    pair.a
        .host
        .write("/run/vrrpd.json", only(instance(HIGH)), 0o600)?;
    // The pipe is full before the daemon starts, and is never read: its only reader is the daemon's own
    // descriptor.
    let program = vrrpd_program()?.display().to_string();
    let script = format!(
        "mkfifo /run/stuck; exec 3<>/run/stuck; head -c 65536 /dev/zero >&3; \
         exec {program} run --config /run/vrrpd.json --verbose 2>&3"
    );
    let a = shell(&pair.a.host, &script)?;
    let from = pair.lan.advert_of(&pair.a, Moment::default())?.at;
    pair.a.address_event(VIP, true, Moment::default())?;
    // Causes a log line each time.
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
        status.contains("20 repairs of virtual addresses"),
        "{status}"
    );
    let stopped = Moment::now();
    assert!(a.terminate(SOON)?.success(), "the daemon stops in order");
    b.wait_for("VI_1", Backup, Master, stopped, SOON)?;
    Ok(())
}

pub(crate) fn stalled_control_clients_block_no_other_client() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    // Enough instances that a status does not fit into a socket's buffer.
    let instances: serde_json::Map<_, _> = (1..=250)
        .map(|vrid| {
            let keys = json!({
                "virtualRouterId": vrid,
                // So many instances take a debug build a while.
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
        "a client that reads receives its answer"
    );
    // The daemon closes a stalled connection after its time limit.
    let mut first = &silent[0];
    first.set_read_timeout(Some(SOON))?;
    let mut answer = Vec::new();
    first.read_to_end(&mut answer)?;
    assert!(!answer.is_empty());
    Ok(())
}

/// Receiver of the daemon's sd_notify messages.
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
}

impl NotifySocket {
    pub(crate) fn on(host: &Host) -> Result<Self, std::io::Error> {
        Self::at(host, "/run/notify")
    }

    fn at(host: &Host, path: &str) -> Result<Self, std::io::Error> {
        let socket = host.run(|| UnixDatagram::bind(path))?;
        socket.set_read_timeout(Some(SOON))?;
        Ok(Self { socket })
    }

    /// Waits for the next message that is `wanted` and returns its lines.
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
            format!("timed out; received {seen:?}"),
        ))
    }
}

fn shell(host: &Host, script: &str) -> Result<Process> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    host.spawn(command)
}
