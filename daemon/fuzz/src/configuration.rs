//! Bytes to the text of a configuration.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use vrrp_config::{Checked, Probe, Secrets};
use vrrp_proto::invariants::Invariants;
use vrrp_proto::params::{NodeParams, TrackerKind};
use vrrp_proto::{
    Engine, Family, Input, Instant, InterfaceAddress, InterfaceIndex, Link, MacAddress,
};

use crate::choices::Choices;

/// What every password in a configuration that is made of choices begins with.
const SECRET: &str = "s3cret";

/// Reads a configuration: the bytes as they are when they are a text, else one that is made by
/// choices which they stand for.
///
/// # Panics
///
/// When there is neither a meaning nor a reason, when the reasons are longer than they may be or tell
/// a password, and when the engine breaks a promise with what was found to be right.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else {
        let text = any_configuration(&mut Choices::new(bytes)).to_string();
        let told = told_of(&text);
        assert!(!told.contains(SECRET), "a password is told: {told}");
        return;
    };
    told_of(text);
}

/// Judges a text, and gives what is told of it when it is wrong.
fn told_of(text: &str) -> String {
    let problems = match vrrp_config::parse(text) {
        Ok(checked) => {
            run(checked);
            return String::new();
        }
        Err(problems) => problems,
    };
    let told = problems.to_string();
    let problems = problems.as_slice();
    assert!(!problems.is_empty(), "neither a meaning nor a reason");
    // A key or a value takes three bytes at least, and there may be something wrong with both.
    let most = text.len() + 2;
    assert!(problems.len() <= most, "{} reasons", problems.len());
    for problem in problems {
        assert!(!problem.message.is_empty(), "no words for {}", problem.path);
        let length = problem.to_string().len();
        assert!(length <= 600 + 8 * text.len(), "a reason of {length} bytes");
    }
    told
}

/// Runs what was found to be right, for a while.
fn run(checked: Checked) {
    for warning in checked.warnings() {
        assert!(!warning.message.is_empty(), "no words for {}", warning.path);
    }
    let Ok(loaded) = checked.complete(Secrets::Skip, None) else {
        panic!("secrets are not asked for, and something is wrong with them");
    };
    for probe in loaded.probes.values() {
        match probe {
            Probe::Script(script) => {
                assert!(!script.command.is_empty(), "a script that is no program");
            }
            Probe::File(file) => assert!(file.path.is_absolute(), "{:?}", file.path),
            Probe::Process(process) => {
                let most = process.at_most.unwrap_or(u32::MAX);
                assert!(process.at_least <= most, "no number is well");
            }
            Probe::Ping(ping) => {
                assert!(ping.max_lost < ping.packets, "nobody need answer");
            }
            Probe::Tcp(tcp) => assert!(tcp.port > 0, "no port"),
            Probe::Http(http) => {
                assert!(http.url.page.starts_with('/'), "no page");
                assert!(!http.status.is_empty(), "no status means well");
            }
            Probe::Unit(unit) => assert!(!unit.name.is_empty(), "a unit without a name"),
            Probe::Route(route) => {
                let family = route.gateway.map_or(Family::V6, Family::of);
                assert!(
                    family == Family::V6 || route.destination.family() == Family::V4,
                    "no route of IPv6 leads by {:?}",
                    route.gateway
                );
            }
        }
    }
    let mut engine = Engine::new();
    let mut invariants = Invariants::default();
    let mut now = Instant::from_nanos(1_000_000_000_000);
    let mut inputs = links(&loaded.node);
    inputs.push(Input::Configure(loaded.node));
    for input in inputs {
        engine.handle(now, input);
        keep(invariants.check(&mut engine, now));
    }
    for _ in 0..30 {
        let Some((due, _)) = engine.poll_timeout() else {
            break;
        };
        now = now.max(due);
        keep(invariants.check_tick(&mut engine, now));
    }
    now = now + Duration::from_secs(3600);
    keep(invariants.check_tick(&mut engine, now));
    engine.handle(now, Input::Stop);
    keep(invariants.check(&mut engine, now));
    assert_eq!(engine.held().next(), None, "addresses are held by nobody");
}

fn keep(promise: Result<(), String>) {
    if let Err(broken) = promise {
        panic!("{broken}");
    }
}

/// All interfaces that somebody speaks of, and each has an address of each family.
fn links(node: &NodeParams) -> Vec<Input<'static>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for router in node.routers.values() {
        names.push(Arc::clone(&router.interface));
        // Those with a virtual MAC address the daemon would make.
        let addresses = router.addresses.iter();
        let devices = addresses
            .filter(|a| router.virtual_device(a.family()).is_none())
            .map(|a| Arc::clone(router.device(a.address)));
        names.extend(devices);
    }
    for tracker in node.trackers.values() {
        if let TrackerKind::Interface { name } = &tracker.kind {
            names.push(Arc::clone(name));
        }
    }
    names.sort();
    names.dedup();
    let inputs = (1_u32..).zip(names).flat_map(|(number, name)| {
        let [_, b, c, d] = number.to_be_bytes();
        let interface = InterfaceIndex(number);
        let link = Link {
            index: interface,
            name,
            up: true,
            carrier: true,
            mac: Some(MacAddress([2, 0, 0, b, c, d])),
            port_of: None,
        };
        let addresses = [
            InterfaceAddress {
                address: Ipv4Addr::new(127, b, c, d).into(),
                prefix: 8,
            },
            InterfaceAddress {
                address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, b.into(), u16::from_be_bytes([c, d]))
                    .into(),
                prefix: 64,
            },
        ];
        let addresses = addresses.map(|address| Input::AddressAdded {
            interface,
            address,
            ours: false,
        });
        [Input::Link(link)].into_iter().chain(addresses)
    });
    inputs.collect()
}

/// A configuration that is right but for some of its entries.
fn any_configuration(choices: &mut Choices<'_>) -> Value {
    let mut trackers = Map::new();
    for n in 0..choices.number(0..=3_u8) {
        let mut tracker = match choices.number(0..=5_u8) {
            0 => json!({ "script": { "command": ["/bin/true"], "interval": 2 } }),
            1 => json!({ "interface": { "name": "eth1" } }),
            2 => json!({ "ping": { "host": "192.0.2.1", "packets": 3, "maxLost": 2 } }),
            3 => json!({ "tcp": { "host": "a.example", "port": 25, "expect": "220 " } }),
            4 => json!({ "http": { "url": "https://a.example/", "status": [200, "300-399"] } }),
            _ => json!({ "route": { "destination": "default", "neighbour": true, "rise": 2 } }),
        };
        for _ in 0..choices.number(0..=2_u8) {
            change(choices, &mut tracker);
        }
        trackers.insert(format!("t{n}"), tracker);
    }
    let mut instances = Map::new();
    for n in 0..choices.number(0..=4_u8) {
        let mut instance = json!({
            "interface": choices.pick(&["eth1", "eth2"]),
            "virtualRouterId": choices.pick(&[n + 1, n + 1, 1, 51]),
            "virtualAddresses": any_addresses(choices, n),
        });
        for (key, value) in [
            ("version", json!(choices.pick(&[2, 3]))),
            ("priority", json!(choices.pick(&[100, 1, 254, 255]))),
            (
                "advertInterval",
                json!(choices.pick(&["1s", "10ms", "2s", "40.95s", "255s"])),
            ),
            ("preempt", json!(choices.coin())),
            ("state", json!(choices.pick(&["master", "backup"]))),
            ("track", json!([choices.pick(&["t0", "t1", "eth1"])])),
        ] {
            if choices.number(0..=3_u8) == 3 {
                instance[key] = value;
            }
        }
        if choices.number(0..=3_u8) == 3 {
            authenticate(choices, &mut instance);
        }
        for _ in 0..choices.number(0..=2_u8) {
            change(choices, &mut instance);
        }
        instances.insert(format!("VI_{n}"), instance);
    }
    let mut all = json!({ "trackers": trackers, "instances": instances });
    if choices.number(0..=7_u8) == 7 {
        change(choices, &mut all);
    }
    all
}

/// The addresses of the instance `n`, of either family, some with something special about them.
fn any_addresses(choices: &mut Choices<'_>, n: u8) -> Value {
    let mut addresses = Vec::new();
    for a in 0..choices.number(1..=3_u8) {
        let last = choices.pick(&[4 * n + a + 1, 4 * n + a + 1, 1]);
        let text = match choices.number(0..=3_u8) {
            0 | 1 => format!("192.0.2.{last}/24"),
            2 => format!("2001:db8::{last}/64"),
            _ => format!("fe80::{last}/64"),
        };
        if choices.mostly() {
            addresses.push(json!(text));
            continue;
        }
        let (key, value) = choices.pick(&[
            ("device", json!("eth2")),
            ("advertise", json!(false)),
            ("label", json!("eth1:vip")),
            ("scope", json!("link")),
            ("broadcast", json!("auto")),
            ("preferredLifetime", json!(0)),
        ]);
        addresses.push(json!({ "address": text, key: value }));
    }
    addresses.into()
}

/// Gives an instance a password, where it belongs or where somebody may put it by mistake.
fn authenticate(choices: &mut Choices<'_>, instance: &mut Value) {
    // Some are too long, and that is told.
    let password = format!("{SECRET}{}", choices.pick(&["!!!", "!!", ""]));
    let key = choices.pick(&["key", "keyFile", "kee"]);
    let secret = password.repeat(choices.pick(&[4, 1, 9]));
    let hmac = json!({ "keys": { "1": { key: secret } } });
    let (key, value) = match choices.number(0..=8_u8) {
        0 => ("authentication", json!(password)),
        1 => ("authentication", json!({ "pass": password })),
        2 => ("authentication", json!({ "pass": { "pasword": password } })),
        3 => (
            "authentification",
            json!({ "pass": { "password": password } }),
        ),
        4 => ("password", json!(password)),
        5 | 6 => ("authentication", json!({ "hmac": hmac })),
        _ => (
            "authentication",
            json!({ "pass": { "password": password } }),
        ),
    };
    instance[key] = value;
}

/// Gives an object one more entry, or another value to one that it has.
fn change(choices: &mut Choices<'_>, object: &mut Value) {
    let key = choices.pick(&WORDS);
    object[key] = any_value(choices, 3);
}

fn any_value(choices: &mut Choices<'_>, depth: u8) -> Value {
    match choices.number(0..=11_u8) {
        0 => json!(null),
        1 => json!(choices.coin()),
        2 => json!(choices.number(-300..=300_i32)),
        3 => json!(choices.pick(&[0.01, 0.5, 1.5, 40.95, 1e300, -0.0])),
        4 => json!(choices.number(0..=u64::MAX)),
        5 => json!(choices.pick(&["eth1", "t0", "t1", "httpd", "", "a b", "master", "ä\u{0}\n"])),
        6 => json!(choices.pick(&[
            "100ms",
            "1s",
            "1.5 s",
            "1h",
            "-1s",
            "1e9s",
            "9999999999999d"
        ])),
        7 => json!(choices.pick(&[
            "192.0.2.1/24",
            "192.0.2.1",
            "2001:db8::1/64",
            "fe80::1/64",
            "::1/64",
            "0.0.0.0/0",
            "/24",
        ])),
        8 => json!(choices.pick(&["/bin/true", "true", "224.0.0.18", "255.255.255.255/32"])),
        9 if depth > 0 => {
            let count = choices.number(0..=3_u8);
            (0..count).map(|_| any_value(choices, depth - 1)).collect()
        }
        10 | 11 if depth > 0 => {
            let mut object = Map::new();
            for _ in 0..choices.number(0..=3_u8) {
                let key = choices.pick(&WORDS);
                object.insert(key.to_owned(), any_value(choices, depth - 1));
            }
            Value::Object(object)
        }
        _ => json!(""),
    }
}

/// The words of the configuration, some that are nearly such, and names.
const WORDS: [&str; 46] = [
    "trackers",
    "instances",
    "script",
    "interface",
    "name",
    "command",
    "interval",
    "timeout",
    "rise",
    "fall",
    "user",
    "state",
    "virtualRouterId",
    "priority",
    "version",
    "advertInterval",
    "preempt",
    "track",
    "tracker",
    "weight",
    "virtualAddresses",
    "address",
    "device",
    "label",
    "scope",
    "broadcast",
    "preferredLifetime",
    "route",
    "destination",
    "gateway",
    "table",
    "neighbour",
    "advertise",
    "source",
    "virtualMac",
    "syncGroups",
    "prioritty",
    "acceptMode",
    "virtual_router_id",
    "t0",
    "t1",
    "VI_0",
    "a b",
    "a.b[0]",
    "\u{0}",
    "",
];
