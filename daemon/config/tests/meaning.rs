//! Translation of configurations into the parameters of the engine and the daemon.

use std::sync::Arc;
use std::time::Duration;

use insta::{assert_debug_snapshot, assert_snapshot};
use vrrp_config::{Command, Loaded, Probe, Restart, Secrets, Style, Which};
use vrrp_proto::notify::{Notify, Subject};
use vrrp_proto::params::{
    Announcements, AntiReplay, Authentication, Effect, HmacMode, HmacParams, LvsSync, RouterParams,
    TrackerKind, Verdict,
};
use vrrp_proto::resources::{Handover, OnFailure, ResourceParams};
use vrrp_proto::wire::hmac::{Key, KeyId};
use vrrp_proto::{Family, Password, Version};

/// Returns the loaded configuration of `text`, or its problems.
fn loaded(text: &str) -> Result<Loaded, String> {
    vrrp_config::parse(text)
        .and_then(|checked| checked.complete(Secrets::Skip, None))
        .map_err(|problems| problems.to_string())
}

/// Returns the only instance, with `entries` besides the required keys.
fn router(entries: &str) -> Result<RouterParams, String> {
    let text = format!(
        r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
                                         "virtualAddresses": ["192.0.2.1/24"] {entries} }} }} }}"#
    );
    let routers = loaded(&text)?.node.routers;
    routers
        .into_values()
        .next()
        .ok_or_else(|| "no router".to_owned())
}

/// Returns the only script, with `entries` besides its command.
fn script(entries: &str) -> Result<(vrrp_config::Script, TrackerKind, u32, u32), String> {
    let text = format!(
        r#"{{ "trackers": {{ "t": {{ "script": {{ "command": ["/bin/true"] {entries} }} }} }} }}"#
    );
    let mut loaded = loaded(&text)?;
    let Some(Probe::Script(script)) = loaded.probes.remove("t") else {
        return Err("no script".to_owned());
    };
    let tracker = loaded.node.trackers.remove("t").ok_or("no tracker")?;
    Ok((script, tracker.kind, tracker.rise, tracker.fall))
}

fn warnings(text: &str) -> String {
    let shown = |loaded: Loaded| loaded.warnings.iter().map(|w| format!("{w}\n")).collect();
    loaded(text)
        .map(shown)
        .unwrap_or_else(|problems| format!("problems: {problems}"))
}

#[test]
fn example_of_the_design_loads() {
    let loaded = loaded(
        r#"{ "trackers":  { "httpd_check": { "script": { "command": ["/usr/local/httpd.sh"], "interval": 2 } } },
             "instances": { "VI_1": { "state": "master", "interface": "eth1", "virtualRouterId": 51, "priority": 100,
                                      "version": 2, "advertInterval": 1,
                                      "authentication": { "pass": { "password": "1111" } },
                                      "track": ["httpd_check"],
                                      "virtualAddresses": ["192.168.224.100/24"] } } }"#,
    )
    .unwrap();
    assert_debug_snapshot!(loaded, @r#"
    Loaded {
        node: NodeParams {
            routers: {
                "VI_1": RouterParams {
                    interface: "eth1",
                    vrid: Vrid(
                        51,
                    ),
                    version: V2,
                    priority: Priority(
                        100,
                    ),
                    interval: AdvertInterval {
                        centiseconds: 100,
                    },
                    track_interface: true,
                    preempt: true,
                    preempt_delay: 0ns,
                    accept: true,
                    expect_master: true,
                    startup_delay: 0ns,
                    trust_wire: true,
                    authentication: Pass(
                        Password(..),
                    ),
                    addresses: [
                        InterfaceAddress {
                            address: 192.168.224.100,
                            prefix: 24,
                        },
                    ],
                    options: {},
                    source: None,
                    unicast: None,
                    virtual_mac: None,
                    announce: Announcements {
                        burst: 1,
                        delay: 1s,
                        refresh: 0ns,
                        on_lower_priority: true,
                        pace: 0,
                    },
                    tracks: [
                        Track {
                            tracker: "httpd_check",
                            effect: Fault,
                        },
                    ],
                    routes: [],
                    rules: [],
                    lvs: None,
                },
            },
            trackers: {
                "httpd_check": TrackerParams {
                    kind: Probe {
                        definition: "{\"script\":{\"command\":[\"/usr/local/httpd.sh\"],\"interval\":{\"secs\":2,\"nanos\":0},\"timeout\":{\"secs\":10,\"nanos\":0},\"user\":null}}",
                    },
                    rise: 1,
                    fall: 1,
                    up_delay: 0ns,
                    down_delay: 0ns,
                    hold: 0ns,
                    initial: Verdict {
                        up: true,
                        value: None,
                    },
                },
            },
            groups: {},
        },
        probes: {
            "httpd_check": Script(
                Script {
                    command: [
                        "/usr/local/httpd.sh",
                    ],
                    interval: 2s,
                    timeout: 10s,
                    user: None,
                },
            ),
        },
        notify: {},
        resources: {},
        warnings: [],
        skipped: {},
    }
    "#);
    let password = Password::new(b"1111").unwrap();
    assert_eq!(
        loaded.node.routers["VI_1"].authentication,
        Authentication::Pass(password)
    );
}

// RFC 9568 6.1 MUST: the priority is 100 by default
// RFC 9568 6.1 MUST: the interval is one second by default
// RFC 9568 6.1 MUST: Preempt_Mode is True by default
// RFC 9568 6.1 MUST: Accept_Mode is False by default
#[test]
fn absent_keys_have_defaults() {
    let router = router("").unwrap();
    assert_eq!(router.priority.get(), 100);
    assert_eq!(router.version, Version::V3);
    assert_eq!(router.interval.duration(), Duration::from_secs(1));
    assert!(router.preempt);
    assert!(router.accept);
    assert!(!router.expect_master);
    assert_eq!(router.authentication, Authentication::None);
    assert_eq!(router.tracks, []);
    assert_eq!(router.preempt_delay, Duration::ZERO);
    assert!(router.trust_wire);
    assert!(router.track_interface);
    assert_eq!(router.startup_delay, Duration::ZERO);
    assert_eq!(router.announce, Announcements::DEFAULT);

    let (script, _, rise, fall) = script("").unwrap();
    assert_eq!(script.interval, Duration::from_secs(1));
    assert_eq!(script.timeout, Duration::from_secs(10));
    assert_eq!(script.user, None);
    assert_eq!((rise, fall), (1, 1));
}

/// Returns the HMAC parameters with `entries` of a router with `others`.
fn hmac(entries: &str, others: &str) -> HmacParams {
    let router = router(&format!(
        r#", "authentication": {{ "hmac": {{ {entries} }} }} {others}"#
    ));
    match router.expect("a valid configuration").authentication {
        Authentication::Hmac(hmac) => hmac,
        Authentication::None | Authentication::Pass(_) => panic!("no HMAC parameters"),
    }
}

fn key(number: u8, secret: &[u8]) -> Key {
    let id = KeyId::new(number).expect("a key number from 1 to 255");
    Key::new(id, secret).expect("a secret of 32 to 64 bytes")
}

const ONE_KEY: &str = r#""keys": { "7": { "key": "0123456789abcdef0123456789abcdef" } }"#;

#[test]
fn hmac_needs_only_one_key() {
    let key = key(7, b"0123456789abcdef0123456789abcdef");
    let expected = HmacParams {
        active: key,
        others: vec![],
        mode: HmacMode::Enforce,
        anti_replay: AntiReplay::Time {
            window: Duration::from_secs(5),
        },
    };
    assert_eq!(hmac(ONE_KEY, ""), expected);
    assert_eq!(hmac(ONE_KEY, r#", "version": 2"#), expected);
}

#[test]
fn hmac_signs_with_active_key_and_accepts_all() {
    let text = "x".repeat(64);
    let hex = "00fF".repeat(16);
    let keys = format!(
        r#""keys": {{ "1": {{ "key": "hex:{hex}" }}, "255": {{ "key": "{text}" }} }}, "activeKey": 255"#
    );
    let both = hmac(&keys, "");
    assert_eq!(both.active, key(255, text.as_bytes()));
    assert_eq!(both.others, [key(1, &[0, 255].repeat(16))]);
}

#[test]
fn default_time_window_follows_interval() {
    for (entries, others, window) in [
        ("", r#", "advertInterval": "40.95s""#, 122),
        ("", r#", "advertInterval": "255s", "version": 2"#, 300),
        ("", r#", "advertInterval": "10ms""#, 5),
        (r#", "timeWindow": "1s""#, r#", "advertInterval": 40"#, 1),
        (r#", "timeWindow": "5m""#, "", 300),
    ] {
        let hmac = hmac(&format!("{ONE_KEY}{entries}"), others);
        let window = Duration::from_secs(window);
        assert_eq!(hmac.anti_replay, AntiReplay::Time { window }, "{others}");
    }
}

#[test]
fn hmac_modes_are_lowered() {
    for (word, mode) in [
        ("enforce", HmacMode::Enforce),
        ("permissive", HmacMode::Permissive),
        ("receiveOnly", HmacMode::ReceiveOnly),
    ] {
        let entries = format!(r#"{ONE_KEY}, "mode": "{word}", "antiReplay": "monotonic""#);
        let hmac = hmac(&entries, "");
        assert_eq!((hmac.mode, hmac.anti_replay), (mode, AntiReplay::Monotonic));
    }
}

#[test]
fn time_window_with_monotonic_is_a_warning() {
    let text = format!(
        r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
             "authentication": {{ "hmac": {{ {ONE_KEY}, "antiReplay": "monotonic", "timeWindow": 5 }} }},
             "virtualAddresses": ["192.0.2.1/24"] }} }} }}"#
    );
    assert_snapshot!(warnings(&text), @r#"instances.VI_1.authentication.hmac.timeWindow: has no effect: "monotonic" ignores the time"#);
}

#[test]
fn delays_and_announcements_are_lowered() {
    let all = router(
        r#", "preemptDelay": "5m", "startupDelay": 12.5,
             "announce": { "burst": 5, "delay": "2500ms", "refresh": "10m", "onLowerPriority": false,
                           "pace": 200 }"#,
    )
    .unwrap();
    assert_eq!(all.preempt_delay, Duration::from_secs(300));
    assert_eq!(all.startup_delay, Duration::from_millis(12_500));
    let announce = Announcements {
        burst: 5,
        delay: Duration::from_millis(2500),
        refresh: Duration::from_secs(600),
        on_lower_priority: false,
        pace: 200,
    };
    assert_eq!(all.announce, announce);
    let nothing = router(r#", "announce": {}"#).unwrap();
    assert_eq!(
        nothing.announce,
        Announcements::DEFAULT,
        "each key of `announce` has its own default"
    );
    let some = router(r#", "announce": { "burst": 2, "delay": 0 }"#).unwrap();
    let announce = Announcements {
        burst: 2,
        delay: Duration::ZERO,
        ..Announcements::DEFAULT
    };
    assert_eq!(some.announce, announce);
}

#[test]
fn default_script_timeout_is_interval_or_10_s() {
    for (entries, timeout) in [
        (r#", "interval": "10ms""#, Duration::from_secs(10)),
        (r#", "interval": 10"#, Duration::from_secs(10)),
        (r#", "interval": "10001ms""#, Duration::from_millis(10_001)),
        (r#", "interval": "24h""#, Duration::from_secs(86_400)),
        (
            r#", "interval": "5s", "timeout": 0.5"#,
            Duration::from_millis(500),
        ),
    ] {
        assert_eq!(script(entries).unwrap().0.timeout, timeout, "{entries}");
    }
}

#[test]
fn empty_configuration_is_valid() {
    let loaded = loaded("{}").unwrap();
    assert_eq!(
        loaded.node.routers.len() + loaded.node.trackers.len() + loaded.probes.len(),
        0
    );
}

/// Each field at the limits of its range: the last valid value and the first invalid one.
#[test]
fn instance_ranges_have_exact_limits() {
    for (good, bad) in [
        (r#""virtualRouterId": 1"#, r#""virtualRouterId": 0"#),
        (r#""virtualRouterId": 255"#, r#""virtualRouterId": 256"#),
        (r#""priority": 1"#, r#""priority": 0"#),
        (r#""priority": 255"#, r#""priority": 256"#),
        (r#""priority": 254"#, r#""priority": -1"#),
        (r#""priority": 254"#, r#""priority": 18446744073709551615"#),
        (r#""version": 2"#, r#""version": 1"#),
        (r#""version": 3"#, r#""version": 4"#),
        (r#""advertInterval": "10ms""#, r#""advertInterval": "9ms""#),
        (r#""advertInterval": 0.01"#, r#""advertInterval": 0"#),
        (r#""advertInterval": 40.95"#, r#""advertInterval": 40.96"#),
        (
            r#""version": 2, "advertInterval": 1"#,
            r#""version": 2, "advertInterval": 0"#,
        ),
        (
            r#""version": 2, "advertInterval": 255"#,
            r#""version": 2, "advertInterval": 256"#,
        ),
        (
            r#""version": 2, "authentication": { "pass": { "password": "12345678" } }"#,
            r#""version": 2, "authentication": { "pass": { "password": "12345678ä" } }"#,
        ),
        (r#""preemptDelay": 1000"#, r#""preemptDelay": 1000.001"#),
        (r#""preemptDelay": 0"#, r#""preemptDelay": -1"#),
        (r#""startupDelay": "1000s""#, r#""startupDelay": "17m""#),
        (r#""startupDelay": "1ms""#, r#""startupDelay": "1""#),
        (
            r#""announce": { "burst": 1 }"#,
            r#""announce": { "burst": 0 }"#,
        ),
        (
            r#""announce": { "burst": 100 }"#,
            r#""announce": { "burst": 101 }"#,
        ),
        (
            r#""announce": { "delay": 1000 }"#,
            r#""announce": { "delay": 1001 }"#,
        ),
        (
            r#""announce": { "refresh": 0 }"#,
            r#""announce": { "refresh": "999ms" }"#,
        ),
        (
            r#""announce": { "refresh": 1 }"#,
            r#""announce": { "refresh": "1ms" }"#,
        ),
        (
            r#""announce": { "refresh": "24h" }"#,
            r#""announce": { "refresh": 86401 }"#,
        ),
        (
            r#""announce": { "pace": 0 }"#,
            r#""announce": { "pace": -1 }"#,
        ),
        (
            r#""announce": { "pace": 1000000 }"#,
            r#""announce": { "pace": 1000001 }"#,
        ),
        (
            r#""interface": "fifteen-bytes-x""#,
            r#""interface": "sixteen-bytes-xx""#,
        ),
        (
            r#""virtualAddresses": ["192.0.2.1/1"]"#,
            r#""virtualAddresses": ["192.0.2.1/0"]"#,
        ),
        (
            r#""virtualAddresses": ["192.0.2.1"]"#,
            r#""virtualAddresses": ["192.0.2.1/33"]"#,
        ),
    ] {
        let text = |entries: &str| {
            let mut needed = String::new();
            for (key, entry) in [
                ("interface", r#""interface": "eth1", "#),
                ("virtualRouterId", r#""virtualRouterId": 51, "#),
                (
                    "virtualAddresses",
                    r#""virtualAddresses": ["192.0.2.1/24"], "#,
                ),
            ] {
                if !entries.contains(key) {
                    needed.push_str(entry);
                }
            }
            format!(r#"{{ "instances": {{ "VI_1": {{ {needed} {entries} }} }} }}"#)
        };
        assert_eq!(loaded(&text(good)).err(), None, "{good}");
        assert!(loaded(&text(bad)).is_err(), "{bad}");
    }
}

#[test]
fn script_ranges_have_exact_limits() {
    for (good, bad) in [
        (r#""interval": "10ms""#, r#""interval": "9ms""#),
        (r#""interval": "24h""#, r#""interval": 86400.1"#),
        (r#""timeout": "10ms""#, r#""timeout": 0"#),
        (r#""timeout": 86400"#, r#""timeout": "1441m""#),
        (r#""rise": 1"#, r#""rise": 0"#),
        (r#""rise": 1000"#, r#""rise": 1001"#),
        (r#""fall": 1"#, r#""fall": 0"#),
        (r#""fall": 1000"#, r#""fall": 1001"#),
        (r#""hold": 0"#, r#""hold": "-1s""#),
        (r#""hold": "24h""#, r#""hold": "24.1h""#),
        (r#""initial": "down""#, r#""initial": "well""#),
        (r#""user": "nobody""#, r#""user": """#),
    ] {
        assert_eq!(script(&format!(", {good}")).err(), None, "{good}");
        assert!(script(&format!(", {bad}")).is_err(), "{bad}");
    }
}

#[test]
fn tracker_is_followed_by_name_or_with_weight() {
    let effect = |entry: &str| {
        let text = format!(
            r#"{{ "trackers": {{ "eth2": {{ "interface": {{ "name": "eth2" }} }} }},
                  "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, "track": [{entry}],
                                             "virtualAddresses": ["192.0.2.1/24"] }} }} }}"#
        );
        loaded(&text).map(|loaded| loaded.node.routers["VI_1"].tracks[0].effect)
    };
    assert_eq!(effect(r#""eth2""#), Ok(Effect::Fault));
    assert_eq!(effect(r#"{ "tracker": "eth2" }"#), Ok(Effect::Fault));
    for weight in [-253, -1, 1, 253] {
        let entry = format!(r#"{{ "tracker": "eth2", "weight": {weight} }}"#);
        assert_eq!(effect(&entry), Ok(Effect::Weight(weight)));
    }
    for weight in [-254, 0, 254] {
        assert!(effect(&format!(r#"{{ "tracker": "eth2", "weight": {weight} }}"#)).is_err());
    }
}

#[test]
fn script_definition_changes_only_with_its_run() {
    let definition = |entries: &str| match script(entries).unwrap().1 {
        TrackerKind::Probe { definition, .. } => definition.to_string(),
        TrackerKind::Interface { .. } => String::new(),
    };
    let plain = definition("");
    assert_snapshot!(plain, @r#"{"script":{"command":["/bin/true"],"interval":{"secs":1,"nanos":0},"timeout":{"secs":10,"nanos":0},"user":null}}"#);
    // The same values in another notation, and keys that do not affect the run.
    for same in [
        r#", "interval": "1000ms""#,
        r#", "timeout": 10"#,
        r#", "rise": 2, "fall": 3"#,
    ] {
        assert_eq!(definition(same), plain, "{same}");
    }
    for other in [
        r#", "interval": 2"#,
        r#", "timeout": "9999ms""#,
        r#", "user": "nobody""#,
    ] {
        assert_ne!(definition(other), plain, "{other}");
    }
}

#[test]
fn accept_mode_can_be_disabled() {
    assert!(!router(r#", "acceptMode": false"#).unwrap().accept);
}

#[test]
fn lvs_sync_has_defaults_of_the_kernel() {
    let lvs = |entries: &str| router(entries).unwrap().lvs;
    assert_eq!(lvs(""), None);
    let plain = LvsSync::new("eth2".into(), 51);
    assert_eq!(
        lvs(r#", "lvsSyncInterface": "eth2""#),
        Some(plain.clone().into())
    );
    let expected = (1472, 8848, 1, "224.0.0.81".parse().unwrap());
    assert_eq!(
        (plain.max_length, plain.port, plain.ttl, plain.group),
        expected
    );
    let other = lvs(
        r#", "lvsSyncInterface": "eth2", "lvs": { "syncId": 0, "port": 8849, "ttl": 2, "group": "ff02::51" }"#,
    );
    let expected = LvsSync {
        sync_id: 0,
        max_length: 1452,
        port: 8849,
        ttl: 2,
        group: "ff02::51".parse().unwrap(),
        ..plain.clone()
    };
    assert_eq!(other, Some(expected.into()));
    let jumbo = LvsSync {
        max_length: 8972,
        ..plain
    };
    let text = r#", "lvsSyncInterface": "eth2", "lvs": { "maxLength": 8972 }"#;
    assert_eq!(lvs(text), Some(jumbo.into()));
}

#[test]
fn lvs_without_sync_interface_is_a_warning() {
    let text = r#"{ "instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51,
                    "lvs": { "syncId": 1 }, "virtualAddresses": ["192.0.2.1/24"] } } }"#;
    assert_snapshot!(warnings(text), @r#"instances.VI_1.lvs: has no effect without "lvsSyncInterface""#);
}

#[test]
fn probably_unintended_settings_are_warnings() {
    assert_snapshot!(warnings("{}"), @"instances: none is defined: the daemon has nothing to do");
    assert_snapshot!(warnings(
        r#"{ "trackers": { "unused": { "interface": { "name": "eth2" } }, "eth2": { "interface": { "name": "eth2" } } },
             "instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51, "priority": 255, "preempt": false, "acceptMode": false,
                                      "track": [{ "tracker": "eth2", "weight": -20 }],
                                      "virtualAddresses": ["192.0.2.0/24", "192.0.2.255/24", "192.0.2.128/25", "192.0.2.4/31", "192.0.2.6"] } } }"#
    ), @r#"
    trackers.unused: no instance or group follows this tracker
    instances.VI_1.preempt = false: has no effect: priority 255 always takes over
    instances.VI_1.acceptMode = false: has no effect: priority 255 owns the addresses and always accepts packets to them
    instances.VI_1.track[0].weight = -20: has no effect: priority 255 never changes
    instances.VI_1.virtualAddresses[0] = "192.0.2.0/24": is the address of the network itself, not of a host: the first host address is 192.0.2.1/24
    instances.VI_1.virtualAddresses[1] = "192.0.2.255/24": is the broadcast address of its network, not of a host: the first host address is 192.0.2.1/24
    instances.VI_1.virtualAddresses[2] = "192.0.2.128/25": is the address of the network itself, not of a host: the first host address is 192.0.2.129/25
    "#);
}

#[test]
fn weights_without_preemption_are_warnings() {
    let text = |preempt: &str, others: &str| {
        format!(
            r#"{{ "trackers": {{ "api": {{ "interface": {{ "name": "eth3" }} }} }},
                 "instances": {{
                   "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, {preempt}
                              "track": [{{ "tracker": "api", "weight": 50 }}],
                              "virtualAddresses": ["192.168.224.100/24"] }} }} {others} }}"#
        )
    };
    let group = r#", "syncGroups": { "VG_1": { "members": ["VI_1"], "track": [{ "tracker": "api", "weight": -9 }] } }"#;
    assert_snapshot!(warnings(&text(r#""preempt": false,"#, group)), @r#"
    instances.VI_1.track[0].weight = 50: has no effect on a running master: with "preempt": false this instance never takes over from a lower priority; leave the weight out, so that the tracker is a reason for fault, or leave "preempt" out
    syncGroups.VG_1.track[0].weight = -9: has no effect on a running master: with "preempt": false this group never takes over from a lower priority; leave the weight out, so that the tracker is a reason for fault, or leave "preempt" out
    "#);
    assert_eq!(warnings(&text("", group)), "");
    // The owner always preempts, and its own warnings say what has no effect.
    let owner = warnings(&text(r#""priority": 255, "preempt": false,"#, ""));
    assert!(!owner.contains("running master"), "{owner}");
}

#[test]
fn state_master_without_preemption_is_a_warning() {
    let first = r#""state": "master", "preempt": false,"#;
    let with_group = experiment_2(first, first);
    assert_snapshot!(warnings(&with_group), @r#"
    instances.VI_1.state = "master": waits for one advertisement only after the start: if it is lost, this host takes over from a master that "preempt": false should leave alone; leave "state" out
    instances.VI_2.state = "master": waits for one advertisement only after the start: if it is lost, this host takes over from a master that "preempt": false should leave alone; leave "state" out
    "#);
}

#[test]
fn command_line_in_one_word_is_a_warning() {
    assert_snapshot!(warnings(
        r#"{ "trackers": { "t": { "script": { "command": ["/usr/bin/killall -0 haproxy"] } },
                           "u": { "script": { "command": ["/bin/sh", "-c", "exit 0"] } },
                           "p": { "process": { "commandLine": ["nginx: master process"] } } },
             "instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51, "track": ["t", "u", "p"],
                                      "notify": { "any": ["/etc/told.sh root", "any"] },
                                      "virtualAddresses": ["192.168.224.100/24"] } },
             "syncGroups": { "VG_1": { "members": ["VI_1"], "notify": { "fault": ["/etc/told.sh\tfault"] } } } }"#
    ), @r#"
    trackers.t.script.command[0] = "/usr/bin/killall -0 haproxy": is the name of a program, blanks included: write ["/usr/bin/killall", "-0", "haproxy"]
    instances.VI_1.notify.any[0] = "/etc/told.sh root": is the name of a program, blanks included: write ["/etc/told.sh", "root"]
    syncGroups.VG_1.notify.fault[0] = "/etc/told.sh\tfault": is the name of a program, blanks included: write ["/etc/told.sh", "fault"]
    "#);
}

#[test]
fn instance_may_advertise_no_address() {
    let of = |addresses: &str, others: &str| {
        let text = format!(
            r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
                                             "virtualAddresses": {addresses} {others} }} }} }}"#
        );
        let mut routers = loaded(&text)?.node.routers;
        let router = routers.pop_first().ok_or("no router")?.1;
        let spoken: Vec<String> = Family::ALL
            .into_iter()
            .filter(|family| router.speaks(*family))
            .map(|family| family.to_string())
            .collect();
        Ok::<_, String>((router.advertises_none(), spoken.join(" ")))
    };
    let none = |family: &str| Ok((true, family.to_owned()));
    assert_eq!(of("[]", ""), none("IPv4"));
    assert_eq!(of("[]", r#", "source": "fe80::1""#), none("IPv6"));
    assert_eq!(
        of("[]", r#", "unicast": { "peers": ["2001:db8::2"] }"#),
        none("IPv6")
    );
    assert_eq!(of("[]", r#", "version": 2"#), none("IPv4"));
    let v6 = r#"[{ "address": "2001:db8::1/64", "advertise": false }]"#;
    assert_eq!(of(v6, ""), none("IPv6"));
    assert_eq!(of(v6, r#", "version": 2"#), none("IPv4"));
    let mixed = r#"["192.0.2.1/24", { "address": "2001:db8::1/64", "advertise": false }]"#;
    assert_eq!(
        of(mixed, r#", "version": 2"#),
        Ok((false, "IPv4".to_owned()))
    );

    let idle = |others: &str| {
        warnings(&format!(
            r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
                                             "virtualAddresses": [] {others} }} }} }}"#
        ))
    };
    assert_snapshot!(idle(""), @r#"instances.VI_1.virtualAddresses = []: the master holds no address, and nothing else depends on its state: list the addresses, or write "notify", "resources", "routes" or "rules""#);
    assert_eq!(idle(r#", "notify": { "any": ["/etc/told.sh"] }"#), "");
    assert_eq!(idle(r#", "resources": ["db.service"]"#), "");
}

#[test]
fn heartbeat_member_of_a_group_needs_no_address() {
    let of_members = |members: &str| {
        warnings(&format!(
            r#"{{ "instances": {{
                "LAN": {{ "interface": "eth0", "virtualRouterId": 51, "virtualAddresses": ["192.0.2.1/24"] }},
                "HEARTBEAT": {{ "interface": "eth1", "virtualRouterId": 52, "trackInterface": false,
                                "startupDelay": "10s", "virtualAddresses": [] }} }},
              "syncGroups": {{ "PAIR": {{ "members": {members} }} }} }}"#
        ))
    };
    assert_eq!(of_members(r#"["LAN", "HEARTBEAT"]"#), "");
    let alone = of_members(r#"["HEARTBEAT"]"#);
    assert!(alone.contains("the master holds no address"), "{alone}");
}

#[test]
fn rule_for_every_packet_names_a_family() {
    let rules = |rule: &str| router(&format!(r#", "rules": [{rule}]"#)).map(|router| router.rules);
    let text = |rule: &str| rules(rule).map(|rules| format!("{} of {}", rules[0], rules.len()));
    let all = |rule: &str| text(rule).unwrap();
    assert_eq!(
        all(r#"{ "to": "0.0.0.0/0", "table": 250, "priority": 32770 }"#),
        "priority 32770 lookup 250 (IPv4) of 1"
    );
    assert_eq!(
        all(r#"{ "from": "::/0", "table": 250, "priority": 32770 }"#),
        "priority 32770 lookup 250 (IPv6) of 1"
    );
    assert_eq!(
        all(r#"{ "from": "::/0", "iif": "eth2", "table": 250 }"#),
        "priority 32765 iif eth2 lookup 250 (IPv6) of 1"
    );
    let warned = |rule: &str| {
        warnings(&format!(
            r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, "rules": [{rule}],
                                             "virtualAddresses": ["192.0.2.1/24"] }} }} }}"#
        ))
    };
    assert_snapshot!(warned(r#"{ "to": "0.0.0.0/0", "table": 250 }"#), @r#"instances.VI_1.rules[0]: looks up every packet before the table main does: if main comes first, write "priority": 32767 or more"#);
    for right in [
        r#"{ "to": "0.0.0.0/0", "table": 250, "priority": 32767 }"#,
        r#"{ "to": "0.0.0.0/0", "iif": "eth2", "table": 250 }"#,
        r#"{ "from": "0.0.0.0/0", "to": "10.0.0.0/8", "table": 250 }"#,
    ] {
        assert_eq!(warned(right), "", "{right}");
    }
}

#[test]
fn prefix_route_of_an_address_can_be_left_out() {
    let form = |option: &str| {
        let text = format!(
            r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
                 "virtualAddresses": [{{ "address": "192.0.2.1/24", "label": "eth1:1" {option} }}] }} }} }}"#
        );
        let routers = loaded(&text).unwrap().node.routers;
        let options = Arc::clone(&routers["VI_1"].options);
        options
            .values()
            .map(|options| options.form.no_prefix_route)
            .collect::<Vec<_>>()
    };
    assert_eq!(form(""), [false]);
    assert_eq!(form(r#", "prefixRoute": true"#), [false]);
    assert_eq!(form(r#", "prefixRoute": false"#), [true]);
}

#[test]
fn anycast_address_of_ipv6_network_is_a_warning() {
    let of = |address: &str| {
        warnings(&format!(
            r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
                                             "virtualAddresses": ["{address}"] }} }} }}"#
        ))
    };
    assert_snapshot!(of("2001:db8:0:1::/64"), @r#"instances.VI_1.virtualAddresses[0] = "2001:db8:0:1::/64": is the subnet-router anycast address, which every router of the network has (RFC 4291 section 2.6.1): write an address of a host, like 2001:db8:0:1::1/64"#);
    assert_snapshot!(of("fe80::/64"), @r#"instances.VI_1.virtualAddresses[0] = "fe80::/64": is the subnet-router anycast address, which every router of the network has (RFC 4291 section 2.6.1): write an address of a host, like fe80::1/64"#);
    for right in [
        "2001:db8::1/64",
        "2001:db8::/127",
        "2001:db8::/128",
        "192.0.2.0/31",
    ] {
        assert_eq!(of(right), "", "{right}");
    }
}

#[test]
fn delays_without_effect_are_warnings() {
    let warned = |entries: &str| {
        warnings(&format!(
            r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
                                           "virtualAddresses": ["192.0.2.1/24"], {entries} }} }} }}"#
        ))
    };
    assert_snapshot!(warned(r#""priority": 255, "preemptDelay": 10, "startupDelay": "1m""#), @r#"
    instances.VI_1.preemptDelay = 10: has no effect: priority 255 always takes over at once
    instances.VI_1.startupDelay = "1m": has no effect: priority 255 becomes master at once
    "#);
    assert_snapshot!(warned(r#""preempt": false, "preemptDelay": 10"#), @r#"instances.VI_1.preemptDelay = 10: has no effect: with "preempt": false the instance never takes over from a lower priority"#);
    assert_snapshot!(warned(r#""priority": 255, "preempt": false, "preemptDelay": 10"#), @"
    instances.VI_1.preempt = false: has no effect: priority 255 always takes over
    instances.VI_1.preemptDelay = 10: has no effect: priority 255 always takes over at once
    ");
    for fine in [
        r#""preempt": false, "preemptDelay": 0"#,
        r#""priority": 255, "preemptDelay": 0, "startupDelay": 0"#,
        r#""preempt": true, "preemptDelay": 10, "startupDelay": 10"#,
    ] {
        assert_eq!(warned(fine), "", "{fine}");
    }
}

#[test]
fn untracked_interfaces_cause_warnings() {
    let warned = |device: &str, entries: &str| {
        warnings(&format!(
            r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, "virtualAddresses":
                 [{{ "address": "192.0.2.1/24", "device": "{device}" }}]{entries} }} }} }}"#
        ))
    };
    assert_snapshot!(warned("eth0", ""), @r#"
    instances.VI_1.trackInterface: is false by default, because eth1 carries none of the addresses: if eth1 loses its link, this host goes on, and two hosts may be master; write false or true
    instances.VI_1.startupDelay: is 0 with "trackInterface": false: after a boot this host becomes master before eth1 has a link, also beside a master; write the time that the link takes, like "30s"
    "#);
    assert_snapshot!(warned("eth1", r#", "trackInterface": false, "startupDelay": "30s""#), @r#"instances.VI_1.trackInterface = false: without carrier no host reaches the addresses on eth1: false is for addresses with another "device""#);
    for (device, fine) in [
        (
            "eth0",
            r#", "trackInterface": false, "startupDelay": "30s""#,
        ),
        ("eth0", r#", "trackInterface": false, "priority": 255"#),
        ("eth0", r#", "trackInterface": true"#),
        ("eth1", ""),
    ] {
        assert_eq!(warned(device, fine), "", "{device}{fine}");
    }
}

#[test]
fn fast_intervals_cause_no_warning() {
    assert_eq!(
        warnings(
            r#"{ "instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51, "advertInterval": "10ms",
                                          "state": "master", "virtualAddresses": ["192.0.2.1"] } } }"#
        ),
        ""
    );
}

/// Returns the routes and rules of the only instance, as `ip` writes them.
fn routing(entries: &str) -> String {
    let router = match router(entries) {
        Ok(router) => router,
        Err(problems) => return problems,
    };
    let routes = router.routes.iter().map(|route| format!("route {route}\n"));
    let rules = router.rules.iter().map(|rule| format!("rule {rule}\n"));
    routes.chain(rules).collect()
}

#[test]
fn routes_are_lowered() {
    assert_snapshot!(routing(r#", "routes": [
        { "destination": "default", "gateway": "192.0.2.9" },
        { "destination": "default", "gateway": "fe80::1", "device": "eth2" },
        { "destination": "10.0.0.0/8" },
        { "destination": "10.1.0.0/16", "device": "eth2", "source": "192.0.2.1", "table": 100, "metric": 5 },
        { "destination": "10.2.0.0/16", "gateway": "10.9.9.9", "device": "eth2", "onLink": true, "scope": 200 },
        { "destination": "10.3.0.1", "scope": "host" },
        { "destination": "10.4.0.0/16", "nextHops": [
            { "gateway": "192.0.2.8", "weight": 3 }, { "device": "eth2" },
            { "gateway": "10.9.9.9", "device": "eth2", "onLink": true } ] },
        { "destination": "2001:db8::/32", "gateway": "2001:db8:1::1", "metric": 0 },
        { "destination": "default", "table": 4294967295 },
        { "destination": "default", "source": "2001:db8::1", "table": 100, "metric": 4294967295 } ]"#), @"
    route 0.0.0.0/0 via 192.0.2.9
    route ::/0 via fe80::1 dev eth2
    route 10.0.0.0/8 dev eth1
    route 10.1.0.0/16 dev eth2 src 192.0.2.1 table 100 metric 5
    route 10.2.0.0/16 via 10.9.9.9 dev eth2 onlink scope 200
    route 10.3.0.1/32 dev eth1 scope host
    route 10.4.0.0/16 nexthop via 192.0.2.8 weight 3 nexthop dev eth2 nexthop via 10.9.9.9 dev eth2 onlink
    route 2001:db8::/32 via 2001:db8:1::1
    route 0.0.0.0/0 dev eth1 table 4294967295
    route ::/0 dev eth1 src 2001:db8::1 table 100 metric 4294967295
    ");
}

#[test]
fn rules_are_lowered() {
    assert_snapshot!(routing(r#", "rules": [
        { "from": "10.0.0.0/8", "table": 100 },
        { "to": "2001:db8::/32", "table": 100, "priority": 0 },
        { "from": "10.0.0.0/8", "to": "192.0.2.9", "iif": "lo", "oif": "eth2", "fwmark": 16, "table": 4294967295, "priority": 1000 },
        { "iif": "eth2", "table": 254 } ]"#), @"
    rule priority 32765 from 10.0.0.0/8 lookup 100
    rule priority 0 to 2001:db8::/32 lookup 100
    rule priority 1000 from 10.0.0.0/8 to 192.0.2.9/32 iif lo oif eth2 fwmark 0x10 lookup 4294967295
    rule priority 32765 iif eth2 lookup 254 (IPv4)
    ");
    // A rule without addresses gets the families of the instance.
    let both = r#"{ "instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51,
        "virtualAddresses": ["192.0.2.1/24", "2001:db8::1/64", "192.0.2.2/24"],
        "rules": [{ "fwmark": 1, "table": 100 }] } } }"#;
    let node = loaded(both).unwrap().node;
    let rules: Vec<String> = node.routers["VI_1"]
        .rules
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        rules,
        [
            "priority 32765 fwmark 0x1 lookup 100 (IPv4)",
            "priority 32765 fwmark 0x1 lookup 100 (IPv6)"
        ]
    );
}

#[test]
fn interface_file_process_and_route_trackers_are_lowered() {
    let tracker = |definition: &str| {
        let text = format!(r#"{{ "trackers": {{ "t": {definition} }} }}"#);
        let mut loaded = loaded(&text).unwrap();
        let params = loaded.node.trackers.remove("t").unwrap();
        (params, loaded.probes.remove("t"))
    };
    let seconds = Duration::from_secs;
    let (params, probe) = tracker(
        r#"{ "interface": { "name": "eth2", "upDelay": 5, "downDelay": "10ms", "hold": "1m" } }"#,
    );
    assert!(probe.is_none(), "the engine tracks interfaces itself");
    assert_eq!(
        (params.up_delay, params.down_delay, params.hold),
        (seconds(5), Duration::from_millis(10), seconds(60))
    );
    let (params, probe) = tracker(r#"{ "file": { "path": "/run/load", "hold": 3 } }"#);
    assert_eq!(
        (params.hold, params.initial),
        (seconds(3), Verdict::saying(0))
    );
    assert!(matches!(probe, Some(Probe::File(file)) if file.path.to_str() == Some("/run/load")));
    let (params, probe) = tracker(r#"{ "process": { "name": "httpd", "initial": "down" } }"#);
    assert_eq!(params.initial, Verdict::DOWN);
    let Some(Probe::Process(process)) = probe else {
        panic!("not a process probe");
    };
    assert_eq!(process.which, Which::Name("httpd".to_owned()));
    assert_eq!((process.at_least, process.at_most), (1, None));
    assert_eq!(process.interval, seconds(1));
    let (_, probe) =
        tracker(r#"{ "process": { "commandLine": ["/bin/a", "b"], "atLeast": 0, "atMost": 0 } }"#);
    let Some(Probe::Process(process)) = probe else {
        panic!("not a process probe");
    };
    let words = ["/bin/a", "b"].map(String::from).to_vec();
    assert_eq!(process.which, Which::CommandLine(words));
    assert_eq!((process.at_least, process.at_most), (0, Some(0)));
    let route = |words: &str| {
        let (params, probe) = tracker(&format!(r#"{{ "route": {{ {words} }} }}"#));
        let Some(Probe::Route(route)) = probe else {
            panic!("not a route probe");
        };
        (params, route)
    };
    let (params, default) = route(r#""destination": "default", "downDelay": "10ms""#);
    assert_eq!(default.destination.to_string(), "0.0.0.0/0");
    assert_eq!((default.table.get(), default.neighbour), (254, None));
    assert_eq!((default.gateway, default.device), (None, None));
    assert_eq!(params.down_delay, Duration::from_millis(10));
    let (params, default) = route(
        r#""destination": "default", "gateway": "fe80::1", "device": "eth1", "table": 7,
           "neighbour": true, "timeout": "500ms", "rise": 2, "fall": 3"#,
    );
    assert_eq!(
        default.destination.to_string(),
        "::/0",
        "the family of the gateway"
    );
    assert_eq!(
        (default.table.get(), default.device.as_deref()),
        (7, Some("eth1"))
    );
    let rhythm = default.neighbour.unwrap();
    assert_eq!(
        (rhythm.interval, rhythm.timeout),
        (seconds(1), Duration::from_millis(500))
    );
    assert_eq!((params.rise, params.fall), (2, 3));
}

/// Returns the notifications of an instance with this `notify`.
fn notify(notify: &str) -> Result<Notify<Arc<Command>>, String> {
    let text = format!(
        r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
             "virtualAddresses": ["192.0.2.1/24"], "notify": {notify} }} }} }}"#
    );
    let told = loaded(&text)?
        .notify
        .remove(&Subject::Instance("VI_1".into()));
    told.ok_or_else(|| "no notifications".to_owned())
}

#[test]
fn notify_has_defaults_beside_its_commands() {
    assert_debug_snapshot!(notify(r#"{ "master": ["/bin/tell", "a b"] }"#).unwrap(), @r#"
    Notify {
        master: Some(
            Command {
                words: [
                    "/bin/tell",
                    "a b",
                ],
                user: None,
                style: Environment,
                addresses: [
                    InterfaceAddress {
                        address: 192.0.2.1,
                        prefix: 24,
                    },
                ],
                group: None,
            },
        ),
        backup: None,
        fault: None,
        stop: None,
        contested: Some(
            Command {
                words: [
                    "/bin/tell",
                    "a b",
                ],
                user: None,
                style: Environment,
                addresses: [
                    InterfaceAddress {
                        address: 192.0.2.1,
                        prefix: 24,
                    },
                ],
                group: None,
            },
        ),
        any: None,
        timeout: 30s,
        retries: 2,
        on_start: true,
        on_reload: false,
        members: [],
    }
    "#);
    let any = notify(
        r#"{ "any": ["/bin/tell"], "timeout": "500ms", "retries": 0, "onStart": false,
             "onReload": true, "style": "keepalived", "user": "nobody" }"#,
    )
    .unwrap();
    assert_eq!((any.master, any.stop, any.contested), (None, None, None));
    assert_eq!((any.timeout, any.retries), (Duration::from_millis(500), 0));
    assert_eq!((any.on_start, any.on_reload), (false, true));
    let command = any.any.unwrap();
    assert_eq!(command.style, Style::Keepalived);
    assert_eq!(command.user.as_deref(), Some("nobody"));
}

fn resources(entries: &str) -> Option<ResourceParams> {
    let text = format!(
        r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
                                         "virtualAddresses": ["192.0.2.1/24"] {entries} }} }} }}"#
    );
    let loaded = loaded(&text).expect("a valid configuration");
    let mut resources = loaded.resources;
    resources.remove("VI_1")
}

#[test]
fn resources_are_absent_a_list_or_an_object() {
    let units = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    assert_eq!(resources(""), None);
    assert_eq!(
        resources(r#", "resources": []"#),
        Some(ResourceParams::new(Vec::new())),
        "an empty list is the target only"
    );
    let of_list = resources(r#", "resources": ["a.service", "b.timer"]"#);
    let expected = ResourceParams::new(units(&["a.service", "b.timer"]));
    assert_eq!(of_list, Some(expected.clone()));
    assert_eq!(
        resources(r#", "resources": { "units": ["a.service", "b.timer"] }"#),
        Some(expected)
    );
    assert_eq!(
        resources(
            r#", "resources": { "units": ["a.service"], "onFailure": "log", "handover": "after-stop",
                                "startTimeout": "2m", "stopTimeout": "100ms" }"#
        ),
        Some(ResourceParams {
            on_failure: OnFailure::Log,
            handover: Handover::AfterStop,
            start_timeout: Duration::from_secs(120),
            stop_timeout: Duration::from_millis(100),
            ..ResourceParams::new(units(&["a.service"]))
        })
    );
}

#[test]
fn tracked_unit_restarts_only_if_configured() {
    let unit = |entries: &str| {
        let text = format!(
            r#"{{ "trackers": {{ "t": {{ "unit": {{ "name": "httpd.service" {entries} }} }} }} }}"#
        );
        match loaded(&text).unwrap().probes.remove("t") {
            Some(Probe::Unit(unit)) => unit,
            other => panic!("{other:?} is not a unit probe"),
        }
    };
    let restart = |at_most, within, timeout| {
        Some(Restart {
            at_most,
            within: Duration::from_secs(within),
            timeout: Duration::from_secs(timeout),
        })
    };
    assert_eq!(&*unit("").name, "httpd.service");
    assert_eq!(unit("").restart, None);
    assert_eq!(unit(r#", "restart": false"#), unit(""));
    assert_eq!(unit(r#", "restart": true"#).restart, restart(3, 300, 10));
    assert_eq!(
        unit(r#", "restart": { "atMost": 1, "within": "1h", "timeout": 2 }"#).restart,
        restart(1, 3600, 2)
    );
}

/// Returns experiment 2 in a sync group, with `first` and `second` besides the required keys of its
/// instances.
fn experiment_2(first: &str, second: &str) -> String {
    format!(
        r#"{{ "trackers": {{ "t": {{ "interface": {{ "name": "eth3" }} }} }},
             "instances": {{
               "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, {first}
                          "virtualAddresses": ["192.168.224.100/24"] }},
               "VI_2": {{ "interface": "eth2", "virtualRouterId": 52, {second}
                          "virtualAddresses": ["192.168.198.100/24"] }} }},
             "syncGroups": {{ "VG_1": {{ "members": ["VI_2", "VI_1"], "track": ["t"] }} }} }}"#
    )
}

#[test]
fn sync_group_keeps_order_of_members() {
    let loaded = loaded(&experiment_2("", "")).unwrap();
    let group = &loaded.node.groups["VG_1"];
    let members: Vec<&str> = group.members.iter().map(|member| &**member).collect();
    assert_eq!(members, ["VI_2", "VI_1"]);
    let [track] = &group.tracks[..] else {
        panic!("{group:?}")
    };
    assert_eq!((&*track.tracker, track.effect), ("t", Effect::Fault));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn group_notify_has_members_and_their_addresses() {
    let own = r#""notify": { "any": ["/bin/own"] },"#;
    let text = experiment_2("", own).replace(
        r#""track": ["t"]"#,
        r#""notify": { "master": ["/bin/all"], "onReload": true }"#,
    );
    let mut told = loaded(&text).unwrap().notify;
    let group = told.remove(&Subject::Group("VG_1".into())).unwrap();
    let members: Vec<&str> = group.members.iter().map(|member| &**member).collect();
    assert_eq!((members, group.on_reload), (vec!["VI_2", "VI_1"], true));
    let command = group.master.unwrap();
    let addresses: Vec<String> = command.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.168.198.100/24", "192.168.224.100/24"]);
    assert_eq!(command.group.as_deref(), Some("VG_1"));
    let instance = told.remove(&Subject::Instance("VI_2".into())).unwrap();
    let command = instance.any.unwrap();
    assert_eq!(command.addresses.len(), 1);
    assert_eq!(
        command.group.as_deref(),
        Some("VG_1"),
        "the group of the instance"
    );
    assert_eq!(instance.members, [] as [Arc<str>; 0]);
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn group_members_that_disagree_are_warnings() {
    let first = r#""state": "master", "preempt": false,"#;
    assert_snapshot!(warnings(&experiment_2(first, "")), @r#"
    instances.VI_1.state = "master": has no effect: VI_2 in the same group starts as backup and waits longer
    instances.VI_1.preempt = false: also prevents VI_2 in the same group from taking over from a lower priority
    "#);
    let agreed = warnings(&experiment_2(first, first));
    assert!(!agreed.contains("same group"), "{agreed}");
}
