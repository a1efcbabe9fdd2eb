//! `vrrpd doctor` on hosts with one fault each.

use std::process::Output;

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, vrrpd_program};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Result};
use vrrp_proto::State::Master;

use crate::common::{SOON, VIP, instance, only, wait_for_detection, with};
use crate::pair::{HIGH, Pair};

/// A firewall that lets in what the host itself asked for.
const FIREWALL: &str = "\
    nft add table inet filter && \
    nft 'add chain inet filter input { type filter hook input priority 0; policy drop; }' && \
    nft add rule inet filter input ct state established,related accept";

pub(crate) fn doctor_finds_nothing_beside_a_sound_master() -> Outcome {
    let pair = Pair::new()?;
    let a = pair.start_a()?;
    a.wait_for_state("VI_1", Master, SOON)?;
    examine(&pair.b.host, &only(instance(100)))?.assert(0, &[]);
    // Of the host with the daemon, too.
    examine(&pair.a.host, &only(instance(HIGH)))?.assert(0, &[]);
    Ok(())
}

pub(crate) fn doctor_names_the_chain_that_drops_advertisements() -> Outcome {
    let pair = Pair::new()?;
    let host = &pair.a.host;
    host.shell(FIREWALL)?;
    let examined = examine(host, &only(instance(HIGH)))?;
    examined.assert(2, &[("firewall", "in the chain inet filter input")]);

    mend(host, &examined)?;
    examine(host, &only(instance(HIGH)))?.assert(0, &[]);

    // The kernel rejects what the host itself sends with EPERM.
    host.shell(
        "nft 'add chain inet filter output { type filter hook output priority 0; policy drop; }' && \
         nft add rule inet filter output meta l4proto icmp accept",
    )?;
    let examined = examine(host, &only(instance(HIGH)))?;
    examined.assert(2, &[("firewall", "in the chain inet filter output")]);
    mend(host, &examined)?;
    examine(host, &only(instance(HIGH)))?.assert(0, &[]);
    Ok(())
}

pub(crate) fn doctor_finds_other_router_with_the_vrid() -> Outcome {
    let pair = Pair::new()?;
    let others = json!({ "virtualAddresses": ["192.168.224.200/24"] });
    let a = Vrrpd::start(&pair.a.host, &only(with(instance(HIGH), others)))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    examine(&pair.b.host, &only(instance(100)))?.assert(
        2,
        &[("other router", "another virtual router with the same VRID")],
    );
    Ok(())
}

pub(crate) fn doctor_finds_host_that_answers_for_the_address() -> Outcome {
    let pair = Pair::new()?;
    pair.a.host.add_address("ens33", VIP, 24)?;
    let answers = "answers for 192.168.224.100";
    examine(&pair.b.host, &only(instance(100)))?.assert(2, &[("address in use", answers)]);
    // The host itself has it without a daemon.
    let has = "ens33 has the virtual address 192.168.224.100/24";
    examine(&pair.a.host, &only(instance(100)))?.assert(2, &[("held address", has)]);
    Ok(())
}

pub(crate) fn doctor_finds_strict_reverse_path_and_missing_interface() -> Outcome {
    let pair = Pair::new()?;
    let host = &pair.a.host;
    host.shell("echo 1 > /proc/sys/net/ipv4/conf/ens33/rp_filter")?;
    let peers = json!({ "unicast": { "peers": ["10.9.9.9"], "minTtl": 200 } });
    examine(host, &only(with(instance(HIGH), peers)))?
        .assert(1, &[("reverse path", "10.9.9.9 is in no network of ens33")]);
    let missing = json!({ "interface": "ens99" });
    examine(host, &only(with(instance(HIGH), missing)))?
        .assert(2, &[("interface", "interface ens99 does not exist")]);
    Ok(())
}

pub(crate) fn doctor_changes_nothing_and_needs_a_valid_configuration() -> Outcome {
    let pair = Pair::new()?;
    let host = &pair.b.host;
    let state = || host.shell("ip address; ip route show table all; ip neigh; nft list ruleset");
    wait_for_detection(host)?;
    let before = state()?;
    examine(host, &only(instance(100)))?.assert(0, &[]);
    assert_eq!(state()?, before);
    let output = run(host, r#"{ "instances": 7 }"#)?;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    Ok(())
}

/// Runs the command of the first finding.
fn mend(host: &Host, examined: &Examined) -> Outcome {
    let remedy = examined.findings[0]["remedy"].as_str().unwrap_or_default();
    host.shell(remedy.split(',').next().unwrap_or_default())?;
    Ok(())
}

/// Result of an examination.
struct Examined {
    status: Option<i32>,
    findings: Vec<Value>,
}

impl Examined {
    /// Asserts the exit status, and the check and a part of the text of each finding.
    #[track_caller]
    fn assert(&self, status: i32, expected: &[(&str, &str)]) {
        let Self { findings, .. } = self;
        assert_eq!(self.status, Some(status), "{findings:#?}");
        assert_eq!(findings.len(), expected.len(), "{findings:#?}");
        for (finding, (check, text)) in findings.iter().zip(expected) {
            assert_eq!(finding["check"], *check, "{findings:#?}");
            let is_part = finding["text"].as_str().is_some_and(|it| it.contains(text));
            assert!(is_part, "{text:?} in {findings:#?}");
        }
    }
}

fn examine(host: &Host, config: &str) -> Result<Examined> {
    let output = run(host, config)?;
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let findings = printed["findings"].as_array().cloned();
    Ok(Examined {
        status: output.status.code(),
        findings: findings.unwrap_or_else(|| panic!("no findings: {output:?}")),
    })
}

fn run(host: &Host, config: &str) -> Result<Output> {
    const FILE: &str = "/run/doctor.json";
    host.write(FILE, config, 0o600)?;
    let program = vrrpd_program()?.display().to_string();
    host.exec(&[&program, "doctor", "--json", "--config", FILE])
}
