//! Answers to the person on call: `vrrpd explain` and `vrrpd events`.

use std::process::Command;

use serde_json::{Value, json};
use vrrp_lab::daemons::vrrpd_program;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Result, Signal};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::{SOON, VIP, instance, only, with};
use crate::pair::{HIGH, LOW, Pair};

/// Output of a command of the program on a host.
fn ask(host: &Host, arguments: &[&str]) -> Result<String> {
    let program = vrrpd_program()?.display().to_string();
    let command = [&[&*program], arguments].concat();
    let output = host.exec(&command)?;
    assert!(output.status.success(), "{output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The only line about a subject in an explanation, without the subject.
fn line(explanation: &str, subject: &str) -> String {
    let start = format!("  {subject} ");
    let mut lines = explanation.lines();
    let line = lines.find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no line about {subject}: {explanation}"))
        .trim_start()
        .to_owned()
}

pub(crate) fn explanation_names_master_and_what_prevents_mastership() -> Outcome {
    let pair = Pair::new()?;
    pair.b.host.write("/run/ok", "", 0o600)?;
    let script =
        json!({ "script": { "command": ["/bin/test", "-e", "/run/ok"], "interval": "50ms" } });
    let b = json!({
        "trackers": { "web": script },
        "instances": { "VI_1": with(instance(LOW), json!({ "track": ["web"] })) },
    });
    let (a, b) = pair.start_with(&only(instance(HIGH)), &b.to_string())?;

    let said = ask(&pair.a.host, &["explain", "VI_1"])?;
    assert!(
        said.starts_with("VI_1\n  state       master for "),
        "{said}"
    );
    assert_eq!(line(&said, "master"), "this host (192.168.224.11)");
    assert!(
        line(&said, "next").starts_with("advertisement in 0."),
        "{said}"
    );

    let said = ask(&pair.b.host, &["explain"])?;
    assert!(line(&said, "state").starts_with("backup for "), "{said}");
    assert!(
        line(&said, "master").starts_with("192.168.224.11 with priority 200, heard for "),
        "{said}"
    );
    assert_eq!(
        line(&said, "not master"),
        "priority 100 is lower than 200 of 192.168.224.11"
    );
    let becomes = line(&said, "becomes it");
    assert!(
        becomes.contains("unless another advertisement of 192.168.224.11 arrives"),
        "{said}"
    );
    assert!(
        line(&said, "tracker").starts_with("web is up for "),
        "{said}"
    );

    pair.b.host.shell("rm /run/ok")?;
    b.wait_for_state("VI_1", Fault, SOON)?;
    let said = ask(&pair.b.host, &["explain", "VI_1"])?;
    assert!(
        line(&said, "not master").starts_with("tracker web is down"),
        "{said}"
    );
    assert!(
        line(&said, "becomes it").starts_with("not before the fault is over"),
        "{said}"
    );
    drop(a);
    Ok(())
}

pub(crate) fn explanation_of_unknown_instance_lists_the_known_ones() -> Outcome {
    let pair = Pair::new()?;
    let _a = pair.start_a()?;
    let program = vrrpd_program()?.display().to_string();
    let output = pair.a.host.exec(&[&program, "explain", "VI_7"])?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "vrrpd: no instance VI_7; the instances are VI_1\n");
    Ok(())
}

pub(crate) fn events_outlive_a_killed_daemon_and_can_be_followed() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let mut follow = Command::new(vrrpd_program()?);
    follow.args(["events", "VI_1", "--follow"]);
    let follower = pair.b.host.spawn(follow)?;
    follower.wait_for_line(|line| line.contains("VI_1: init -> backup"), SOON)?;

    let died = Moment::now();
    a.process().kill(Signal::SIGKILL)?;
    a.process().wait(SOON)?;
    let logged = b.wait_for("VI_1", Backup, Master, died, SOON)?;
    let told = follower.wait_for_line(|line| line.contains("VI_1: backup -> master"), SOON)?;
    let (_, words) = told.text.split_once("VI_1: ").expect("the instance");
    assert!(logged.text.ends_with(words), "{} but {words}", logged.text);
    follower.kill(Signal::SIGKILL)?;
    follower.wait(SOON)?;

    // The dead daemon's last transition, with its values.
    let said = ask(&pair.a.host, &["events", "VI_1", "--json"])?;
    let mut events = said.lines().map(serde_json::from_str::<Value>);
    let event = events
        .find(|event| event.as_ref().is_ok_and(|it| it["to"] == "master"))
        .expect("a transition to master")?;
    assert_eq!(
        [
            &event["kind"],
            &event["instance"],
            &event["from"],
            &event["priority"]
        ],
        [
            &json!("transition"),
            &json!("VI_1"),
            &json!("backup"),
            &json!(HIGH)
        ]
    );
    assert!(
        event["bootTime"].as_f64().is_some_and(|time| time > 0.0),
        "{event}"
    );

    // A restart continues the same log.
    let _a = pair.start_a()?;
    let said = ask(&pair.a.host, &["events"])?;
    assert_eq!(
        said.matches(" started: 1 instance from ").count(),
        2,
        "{said}"
    );
    assert!(pair.b.host.holds(VIP)?);
    Ok(())
}
