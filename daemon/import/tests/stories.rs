//! The configurations of the course, as keepalived.conf, become those of the experiments.

mod common;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vrrp_import::Format;

use common::{converted, directory};

/// Hosts of both experiments, with the priority of their first instance.
const HOSTS: [(&str, u8); 2] = [("master", 100), ("backup", 99)];

#[test]
fn experiments_of_the_lab_have_the_configuration_of_the_course() {
    for (host, priority) in HOSTS {
        let first = instance(host, "ens33", 51, priority, "192.168.224.100/24");
        let second = instance(host, "ens37", 52, 100, "192.168.198.100/24");
        let mut first_checked = first;
        first_checked["track"] = json!(["httpd_check"]);
        // The lab leaves it out, because none of its hosts is a load balancer.
        first_checked["lvsSyncInterface"] = json!("ens33");
        let trackers = json!({
            "httpd_check": { "script": { "command": ["/usr/local/httpd.sh"], "interval": 2 } },
        });
        let one = json!({ "trackers": trackers, "instances": { "VI_1": first_checked } });
        let two =
            json!({ "trackers": trackers, "instances": { "VI_1": first_checked, "VI_2": second } });
        assert_eq!(course(1, host), one, "{host}");
        assert_eq!(course(2, host), two, "{host}");
    }
}

/// The story `httpd` of the virtual machines has version 3 and the other defaults of vrrpd.
#[test]
fn story_httpd_is_the_configuration_of_its_hosts() {
    for (host, priority) in HOSTS {
        let conf = format!(
            "vrrp_script httpd {{\n    script /usr/local/lib/vrrp/httpd.sh\n}}\n\
             vrrp_instance VI_1 {{\n    interface eth1\n    virtual_router_id 51\n    version 3\n    \
             priority {priority}\n    lvs_sync_daemon_interface eth1\n    track_script {{ httpd }}\n    \
             virtual_ipaddress {{ 192.168.224.100/24 }}\n}}\n"
        );
        let Some(expected) = rendered(
            "story_httpd_is_the_configuration_of_its_hosts",
            "httpd",
            host,
        ) else {
            return;
        };
        assert_same(&converted(&conf, Format::Json), &expected);
    }
}

/// The story `dual-nic` reads the password from a file, which keepalived cannot, and has no IPVS sync daemon.
#[test]
fn story_dual_nic_is_the_configuration_of_its_hosts() {
    for (host, _) in HOSTS {
        let conf = fs::read_to_string(directory().join(format!("course-2-{host}.conf"))).unwrap();
        let conf = conf.replace("ens33", "eth1").replace("ens37", "eth2");
        let conf = conf.replace("/usr/local/httpd.sh", "/usr/local/lib/vrrp/httpd.sh");
        let test = "story_dual_nic_is_the_configuration_of_its_hosts";
        let Some(mut expected) = rendered(test, "dual-nic", host) else {
            return;
        };
        for instance in expected["instances"].as_object_mut().unwrap().values_mut() {
            instance["authentication"] = json!({ "pass": { "password": "1111" } });
        }
        expected["instances"]["VI_1"]["lvsSyncInterface"] = json!("eth1");
        assert_same(&converted(&conf, Format::Json), &expected);
    }
}

fn instance(state: &str, interface: &str, vrid: u8, priority: u8, address: &str) -> Value {
    json!({
        "state": state,
        "interface": interface,
        "virtualRouterId": vrid,
        "priority": priority,
        "version": 2,
        "advertInterval": 1,
        "authentication": { "pass": { "password": "1111" } },
        "virtualAddresses": [address],
    })
}

fn course(experiment: u8, host: &str) -> Value {
    let file = directory().join(format!("course-{experiment}-{host}.conf"));
    let text = fs::read_to_string(file).expect("a sample");
    serde_json::from_str(&converted(&text, Format::Json)).expect("JSON")
}

/// Checks that two configurations have the same parameters.
#[track_caller]
fn assert_same(converted: &str, expected: &Value) {
    let converted = vrrp_config::parse(converted).expect("a valid result");
    let expected = vrrp_config::parse(&expected.to_string()).expect("a valid story");
    assert_eq!(converted, expected);
}

/// Returns the configuration of a host, as the NixOS module renders it.
#[expect(clippy::print_stderr, reason = "the end of .ci/run lists these lines")]
fn rendered(test: &str, story: &str, host: &str) -> Option<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = file
        .join("../../vm-tests/rendered")
        .join(format!("{story}.json"));
    // The build of the Nix package has the crates only.
    let Ok(text) = fs::read_to_string(&file) else {
        eprintln!("{test}: NOT RUN: {} is missing", file.display());
        return None;
    };
    let all: Value = serde_json::from_str(&text).expect("JSON");
    Some(all[host]["daemon"]["config"].clone())
}
