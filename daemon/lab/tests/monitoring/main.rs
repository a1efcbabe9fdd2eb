//! Tests of `vrrpd exporter` beside a running daemon, and of the files for Prometheus and Grafana in
//! docs/prometheus: what they name exists, and Prometheus's own tool accepts it.

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;
use vrrp_lab::daemons::{Vrrpd, find_in_path, vrrpd_program};
use vrrp_lab::harness::{MadeTest, Outcome, Test};
use vrrp_lab::{Host, Process, Result};
use vrrp_proto::State;

use crate::common::{Lan, SOON, instance, only};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/prometheus");

fn main() -> ExitCode {
    let lacking = find_in_path("promtool")
        .is_none()
        .then_some("no promtool (Debian package prometheus, which also starts a server)");
    let always: [Test<'_>; 3] = [
        (
            "exporter shows daemon alive and dead",
            exporter_shows_daemon_alive_and_dead,
        ),
        (
            "alerts and dashboard name existing metrics",
            alerts_and_dashboard_name_existing_metrics,
        ),
        ("each alert has a unit test", each_alert_has_a_unit_test),
    ];
    let with_promtool: [Test<'_>; 2] = [
        ("promtool accepts metrics", promtool_accepts_metrics),
        ("promtool accepts alert rules", promtool_accepts_alert_rules),
    ];
    let always = always.iter().map(|test| MadeTest::new(test, None));
    let with_promtool = with_promtool.iter();
    let with_promtool = with_promtool.map(|test| MadeTest::new(test, lacking));
    common::main_of(always.chain(with_promtool).collect(), &[], None)
}

fn exporter_shows_daemon_alive_and_dead() -> Outcome {
    let lan = Lan::new()?;
    let station = lan.station("a", 11)?;
    let exporter = Exporter::start(&station.host)?;
    assert_eq!(exporter.value("vrrp_up")?, Some(0.0));

    let daemon = Vrrpd::start(&station.host, &only(instance(200)))?;
    daemon.wait_for_state("VI_1", State::Master, SOON)?;
    exporter.wait_for(|metrics| value(metrics, "vrrp_up") == Some(1.0))?;
    let master = r#"vrrp_state{vrrp_instance="VI_1",state="master"}"#;
    let held = r#"vrrp_address_held{vrrp_instance="VI_1",address="192.168.224.100"}"#;
    exporter.wait_for(|metrics| value(metrics, master) == Some(1.0))?;
    assert_eq!(exporter.value(held)?, Some(1.0));

    daemon.stop()?;
    exporter.wait_for(|metrics| value(metrics, "vrrp_up") == Some(0.0))?;
    assert_eq!(exporter.value(master)?, None);
    // It holds no descriptor and no state of the daemon.
    exporter.process.terminate(SOON)?;
    Ok(())
}

fn promtool_accepts_metrics() -> Outcome {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let metrics = metrics_of_a_master()?;
    let mut input = promtool.stdin.take().expect("piped");
    input.write_all(metrics.as_bytes())?;
    drop(input);
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // The linter's remarks have the exit status 3.
    assert!(output.status.success() && said.is_empty(), "{said}");
    Ok(())
}

fn promtool_accepts_alert_rules() -> Outcome {
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
    ] {
        let mut promtool = Command::new("promtool");
        let output = promtool.args(arguments).current_dir(FILES).output()?;
        assert!(output.status.success(), "{output:?}");
    }
    Ok(())
}

fn alerts_and_dashboard_name_existing_metrics() -> Outcome {
    let metrics = metrics_of_a_master()?;
    let declared = metrics.lines().filter_map(|line| {
        let name = line.strip_prefix("# TYPE ")?.split(' ').next()?;
        Some(name.to_owned())
    });
    let declared: BTreeSet<String> = declared.collect();
    let dashboard = read("dashboard.json")?;
    // Fails if it is no JSON.
    let _: Value = serde_json::from_str(&dashboard)?;
    for (file, text) in [
        ("alerts.yml", read("alerts.yml")?),
        ("dashboard.json", dashboard),
    ] {
        let named = names(&text);
        assert!(named.len() > 10, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&declared).collect();
        assert!(unknown.is_empty(), "{file} names no metrics: {unknown:?}");
    }
    Ok(())
}

fn each_alert_has_a_unit_test() -> Outcome {
    let (rules, tests) = (read("alerts.yml")?, read("alerts.test.yml")?);
    let named = |text: &str, key: &str| -> BTreeSet<String> {
        let lines = text.lines();
        let values = lines.filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key));
        values.map(str::to_owned).collect()
    };
    let alerts = named(&rules, "alert: ");
    assert!(!alerts.is_empty());
    assert_eq!(alerts, named(&tests, "alertname: "));
    Ok(())
}

/// Words of a text that have the form of a metric's name, without the labels of that form.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_part(character));
    let names = words.filter(|word| word.starts_with("vrrp_"));
    names
        .filter(|word| !["vrrp_instance", "vrrp_group"].contains(word))
        .map(str::to_owned)
        .collect()
}

fn read(file: &str) -> std::io::Result<String> {
    std::fs::read_to_string(Path::new(FILES).join(file))
}

/// Metrics of a running daemon that is master.
fn metrics_of_a_master() -> Result<String> {
    let lan = Lan::new()?;
    let station = lan.station("a", 11)?;
    let daemon = Vrrpd::start(&station.host, &only(instance(200)))?;
    daemon.wait_for_state("VI_1", State::Master, SOON)?;
    let exporter = Exporter::start(&station.host)?;
    let metrics = exporter.metrics()?;
    daemon.stop()?;
    Ok(metrics)
}

/// A running `vrrpd exporter`.
struct Exporter<'h> {
    host: &'h Host,
    process: Process,
}

impl<'h> Exporter<'h> {
    const PORT: u16 = 9650;

    /// Starts the exporter and waits until it listens.
    fn start(host: &'h Host) -> Result<Self> {
        let mut command = Command::new(vrrpd_program()?);
        command.arg("exporter");
        let process = host.spawn(command)?;
        let exporter = Self { host, process };
        exporter.wait_for(|metrics| metrics.contains("\nvrrp_up "))?;
        Ok(exporter)
    }

    fn metrics(&self) -> Result<String> {
        let asked = self.host.run(|| -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, Self::PORT))?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            let mut response = String::new();
            stream.read_to_string(&mut response)?;
            Ok(response)
        });
        let response = asked.map_err(|error| vrrp_lab::Error::new("asking the exporter", error))?;
        let (head, page) = response.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        Ok(page.to_owned())
    }

    fn value(&self, sample: &str) -> Result<Option<f64>> {
        Ok(value(&self.metrics()?, sample))
    }

    /// Waits for metrics with a property. The exporter shows an answer of the daemon for up to a second.
    fn wait_for(&self, is_it: impl Fn(&str) -> bool) -> Result<()> {
        let until = std::time::Instant::now() + SOON;
        loop {
            let metrics = self.metrics();
            match metrics {
                Ok(metrics) if is_it(&metrics) => return Ok(()),
                Ok(_) | Err(_) if std::time::Instant::now() < until => {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
                Ok(metrics) => return Err(vrrp_lab::Error::new("waiting for metrics", metrics)),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Value of a sample, by its name and labels.
fn value(metrics: &str, sample: &str) -> Option<f64> {
    let mut lines = metrics.lines();
    lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}
