use vrrp_proto::{Cause, Priority};

use super::*;

#[test]
fn command_gets_transition_in_environment_and_standard_input() {
    let words = told(
        Style::Environment,
        "printenv | grep ^VRRP_ | grep -v ^VRRP_LAB_ | sort | tr '\\n' ';'; cat",
    );
    insta::assert_snapshot!(words, @r#"VRRP_ADDRESSES=192.168.224.100/24 2001:db8::100/64;VRRP_AGAIN=false;VRRP_CAUSE=192.168.224.12 resigned (priority 0);VRRP_EVENT=master;VRRP_FROM=backup;VRRP_INSTANCE=VI_1;VRRP_PRIORITY=150;VRRP_TO=master;{"addresses":["192.168.224.100/24","2001:db8::100/64"],"again":false,"cause":"192.168.224.12 resigned (priority 0)","event":"master","from":"backup","group":null,"instance":"VI_1","priority":150,"to":"master"}"#);
}

#[test]
fn keepalived_style_appends_four_arguments() {
    let words = told(Style::Keepalived, "echo $# $*");
    assert_eq!(words, "4 INSTANCE VI_1 MASTER 150");
    let group = Subject::Group("VG_1".into());
    assert_eq!(
        keepalived(&group, &news(State::Master)),
        ["GROUP", "VG_1", "MASTER", "150"]
    );
    let states = [State::Init, State::Backup, State::Fault];
    let words = states.map(|to| keepalived(&owner(), &news(to))[2].clone());
    assert_eq!(words, ["STOP", "BACKUP", "FAULT"]);
}

#[test]
fn command_gets_instance_and_group() {
    let command = Command {
        group: Some("VG_1".into()),
        ..command(Style::Environment, "true")
    };
    let said = |owner: &Subject| {
        let news = news(State::Master);
        let environment = environment(owner, &news, &command);
        let names = environment
            .into_iter()
            .filter(|(name, _)| ["VRRP_INSTANCE", "VRRP_GROUP"].contains(&name.as_ref()));
        let object: serde_json::Value =
            serde_json::from_str(&input(owner, &news, &command)).unwrap();
        (
            names
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>(),
            object["instance"].clone(),
            object["group"].clone(),
        )
    };
    let both = ["VRRP_INSTANCE=VI_1", "VRRP_GROUP=VG_1"].map(str::to_owned);
    assert_eq!(
        said(&owner()),
        (both.to_vec(), json!("VI_1"), json!("VG_1"))
    );
    let group = Subject::Group("VG_1".into());
    assert_eq!(
        said(&group),
        (both[1..].to_vec(), json!(null), json!("VG_1"))
    );
}

#[test]
fn environment_limits_number_of_addresses() {
    let addresses = (0..4096).map(|n| format!("2001:db8:1:2:3:4:5:{n:x}/128").parse().unwrap());
    let command = Command {
        addresses: addresses.collect(),
        ..command(
            Style::Environment,
            "printf %s \"$VRRP_ADDRESSES\" | wc -w; wc -w",
        )
    };
    let environment = environment(&owner(), &news(State::Master), &command);
    let (_, listed) = environment
        .iter()
        .find(|(name, _)| *name == "VRRP_ADDRESSES")
        .unwrap();
    let listed = listed.split(' ').count();
    assert!((3000..4096).contains(&listed), "{listed}");
    let said = run(command);
    assert!(said.succeeded, "{}", said.detail);
}

/// Output of a command that is notified of a new master.
fn told(style: Style, script: &str) -> String {
    let said = run(command(style, script));
    assert!(said.succeeded, "{}", said.detail);
    said.detail.replace("exit status: 0: ", "")
}

fn run(command: Command) -> Ended {
    let run = Run {
        number: 1,
        owner: owner(),
        command: Arc::new(command),
        news: Arc::new(news(State::Master)),
        limit: Duration::from_secs(20),
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(tell(run, Runner::default()))
}

fn command(style: Style, script: &str) -> Command {
    Command {
        words: ["/bin/sh", "-c", script, "sh"].map(str::to_owned).to_vec(),
        user: None,
        style,
        addresses: ["192.168.224.100/24", "2001:db8::100/64"]
            .map(|address| address.parse().unwrap())
            .into(),
        group: None,
    }
}

fn owner() -> Subject {
    Subject::Instance("VI_1".into())
}

fn news(to: State) -> Notification {
    Notification {
        event: to.into(),
        from: State::Backup,
        to,
        cause: Cause::Resigned {
            master: [192, 168, 224, 12].into(),
        },
        priority: Priority::new(150).unwrap(),
        again: false,
    }
}
