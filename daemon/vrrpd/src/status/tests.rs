use std::sync::Arc;

use vrrp_proto::notify::Event;
use vrrp_proto::operator::CommandKind;
use vrrp_proto::snapshot::{
    Counters, DaemonStatus, NotifyRunStatus, PeerStatus, PriorityStatus, ReloadStatus,
    SenderStatus, UnsentStatus,
};
use vrrp_proto::wire::hmac::KeyId;
use vrrp_proto::wire::{ChecksumForm, DropCounts};
use vrrp_proto::{Family, InterfaceAddress, LvsRole, Priority, Version, Vrid};

use super::*;

#[test]
fn table_shows_master_and_cause() {
    let mut master = instance("VI_1", 51, State::Master);
    master.routes = vec!["10.1.0.0/16 via 192.168.224.1".to_owned()];
    master.rules = vec!["priority 1000 from 10.9.0.0/16 lookup 100".to_owned()];
    master.counters.routing_repairs = 2;
    let mut backup = instance("VI_2", 52, State::Backup);
    backup.cause = "192.168.198.12 has the same priority 100 and the greater address".into();
    backup.master = Some(PeerStatus {
        address: [192, 168, 198, 12].into(),
        priority: 100,
        heard_for: 125.25,
    });
    backup.priority = PriorityStatus {
        configured: Priority::new(100).unwrap(),
        effective: Priority::new(80).unwrap(),
        reasons: vec!["httpd_check -20".to_owned()],
        tracks: vec![],
    };
    backup.hmac = Some(HmacStatus {
        mode: HmacMode::Permissive,
        active_key: key(1),
        accepted_keys: vec![key(1), key(2)],
        senders: vec![sender(11, 1, 0), sender(13, 2, 3), sender(14, 2, -2)],
    });
    let peer = |peer: &str, addresses: &[[u8; 4]], former: &[[u8; 4]]| UnicastPeerStatus {
        peer: peer.to_owned(),
        addresses: addresses.iter().map(|a| (*a).into()).collect(),
        former: former.iter().map(|a| (*a).into()).collect(),
    };
    backup.unicast = Some(UnicastStatus {
        peers: vec![
            peer("192.168.198.11", &[[192, 168, 198, 11]], &[]),
            peer(
                "one.example",
                &[[192, 168, 198, 13], [192, 168, 198, 14]],
                &[[192, 168, 198, 15]],
            ),
            peer("two.example", &[], &[]),
        ],
        senders: vec![[192, 168, 198, 16].into()],
        ttl: 255,
        min_ttl: 255,
    });
    master.notify = Some(NotifyStatus::default());
    backup.notify = Some(NotifyStatus {
        running: Some(Event::Contested),
        waiting: vec![Event::Stop, Event::Backup],
        dropped: 3,
        runs: 7,
        failures: 1,
        last: Some(told_of(Event::Stop, true, "exit status: 0", 125.0)),
    });
    backup.lvs = Some(lvs(Some(LvsRole::Backup), None, 0));
    backup.counters.dropped = DropCounts {
        Checksum: 3,
        ..DropCounts::default()
    };
    let snapshot = Snapshot {
        instances: vec![master, backup],
        groups: Vec::new(),
        commands: vec![CommandStatus {
            command: CommandKind::Priority,
            instance: Some("VI_1".into()),
            priority: Priority::new(150),
            last_resort: None,
            by: "alice (uid 1000)".into(),
            reason: Some("kernel update".into()),
            ends_in: Some(600.0),
        }],
        unread_commands: None,
        trackers: vec![
            TrackerStatus {
                name: "httpd_check".into(),
                up: Some(false),
                value: None,
                age: Some(125.0),
                changes_in: Some(2.5),
                detail: "exit status: 1".into(),
                results: 12,
                failures: 1,
            },
            TrackerStatus {
                name: "unknown".into(),
                up: None,
                value: None,
                age: None,
                changes_in: None,
                detail: "".into(),
                results: 0,
                failures: 0,
            },
        ],
        dropped: DropCounts::default(),
        lost: 8633,
        daemon: None,
    };
    insta::assert_snapshot!(plain(&snapshot), @"
    INSTANCE  STATE   FOR    PRIORITY                  INTERFACE  VRID  MASTER                      ADDRESSES
    VI_1      master  2 min  99                        eth1       51    192.168.224.12 (this host)  192.168.224.51/24
    VI_2      backup  2 min  80 = 100 httpd_check -20  eth1       52    192.168.198.12 (100)        192.168.224.52/24
    VI_1: priority 150 by alice (uid 1000), ends in 10 min: kernel update

    VI_1: no advertisement from 192.168.224.11 for 3.609 s
      notify: no command has run yet
      route 10.1.0.0/16 via 192.168.224.1
      rule priority 1000 from 10.9.0.0/16 lookup 100
      2 repairs of routes or rules (deleted while master, restored)
    VI_2: 192.168.198.12 has the same priority 100 and the greater address
      HMAC: signs with key 1; unsigned advertisements are accepted; 192.168.198.11 signs with key 1; 192.168.198.13 signs with key 2 (its clock is 3 s ahead); 192.168.198.14 signs with key 2 (its clock is 2 s behind)
      unicast peers: 192.168.198.11, one.example (192.168.198.13 192.168.198.14), two.example (not resolved), 192.168.198.15 (former address of one.example), 192.168.198.16 (sender); every sender is accepted until two.example is resolved
      notify: stop succeeded 2 min ago: exit status: 0; running: contested; waiting: stop, backup
      LVS sync: backup on eth1 (syncId 52)
      1 failure of notify commands
      3 notifications superseded by a newer state
      3 packets dropped: wrong checksum
    8633 packets lost: receive buffer overflow

    TRACKER      VERDICT          FOR    RESULTS  FAILURES  LAST
    httpd_check  down, up in 3 s  2 min  12       1         exit status: 1
    unknown      pending          -      0        0
    ");
}

#[test]
fn status_shows_result_of_last_notification() {
    let status = |last| {
        let last = Some(last);
        let status = NotifyStatus {
            last,
            ..NotifyStatus::default()
        };
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<NotifyStatus>(&text).unwrap(), status);
        (told(&status), text)
    };
    let (text, json) = status(told_of(
        Event::Master,
        false,
        "exit status: 7: no connection",
        3.25,
    ));
    insta::assert_snapshot!(text, @"notify: master failed 3 s ago: exit status: 7: no connection");
    insta::assert_snapshot!(json, @r#"{"running":null,"waiting":[],"dropped":0,"runs":0,"failures":0,"last":{"event":"master","succeeded":false,"detail":"exit status: 7: no connection","age":3.25}}"#);
    let (text, _) = status(told_of(Event::Backup, true, "exit status: 0: done", 0.0));
    insta::assert_snapshot!(text, @"notify: backup succeeded 0 s ago: exit status: 0: done");
}

#[test]
fn status_shows_hmac_mode_and_key() {
    let status = |mode| {
        signatures(&HmacStatus {
            mode,
            active_key: key(7),
            accepted_keys: vec![key(7)],
            senders: vec![],
        })
    };
    insta::assert_snapshot!(status(HmacMode::Enforce), @"HMAC: signs with key 7; unsigned advertisements are dropped");
    insta::assert_snapshot!(status(HmacMode::ReceiveOnly), @"HMAC: does not sign; unsigned advertisements are accepted");
}

#[test]
fn status_shows_error_of_ipvs_sync_daemon() {
    let error = Some("this kernel has no IPVS");
    let text = synchronisation(&lvs(Some(LvsRole::Master), error, 2));
    insta::assert_snapshot!(text, @"LVS sync: master on eth1 (syncId 52), failed: this kernel has no IPVS; repairs: 2 (stopped or changed by another program)");
    insta::assert_snapshot!(synchronisation(&lvs(None, None, 0)), @"LVS sync: none on eth1 (syncId 52)");
}

#[test]
fn table_shows_ipv6_and_dual_stack_instances() {
    let both = RouterStatus {
        addresses: addresses(&["192.168.224.100/24", "2001:db8::100/64"]),
        source_ipv6: Some("fe80::12".parse().unwrap()),
        ..instance("VI_2", 52, State::Master)
    };
    let backup = RouterStatus {
        name: "VI_3".into(),
        state: State::Backup,
        master: Some(PeerStatus {
            address: "fe80::11".parse().unwrap(),
            priority: 200,
            heard_for: 125.25,
        }),
        ..both.clone()
    };
    let unable = RouterStatus {
        state: State::Fault,
        cause: "interface eth1 has no link-local IPv6 address to send from, or it is still being \
                checked for duplicates"
            .into(),
        source: None,
        ..ipv6("VI_4")
    };
    let snapshot = Snapshot {
        instances: vec![ipv6("VI_1"), both, backup, unable],
        ..Snapshot::default()
    };
    insta::assert_snapshot!(plain(&snapshot), @r"
    INSTANCE  STATE   FOR    PRIORITY  INTERFACE  VRID  MASTER                      ADDRESSES
    VI_1      master  2 min  99        eth1       51    fe80::12 (this host)        fe80::100/64 2001:db8::100/64
    VI_2      master  2 min  99        eth1       52    192.168.224.12 (this host)  192.168.224.100/24 2001:db8::100/64
    VI_3      backup  2 min  99        eth1       52    fe80::11 (200)              192.168.224.100/24 2001:db8::100/64
    VI_4      fault   2 min  99        eth1       51    -                           fe80::100/64 2001:db8::100/64

    VI_1: no advertisement from 192.168.224.11 for 3.609 s
    VI_2: no advertisement from 192.168.224.11 for 3.609 s
    VI_3: no advertisement from 192.168.224.11 for 3.609 s
    VI_4: interface eth1 has no link-local IPv6 address to send from, or it is still being checked for duplicates
    ");
}

#[test]
fn table_shows_master_without_a_link() {
    let snapshot = Snapshot {
        instances: vec![RouterStatus {
            source: None,
            without_link: Some("interface eth1 has no carrier".into()),
            ..instance("VI_1", 51, State::Master)
        }],
        ..Snapshot::default()
    };
    insta::assert_snapshot!(plain(&snapshot), @r"
    INSTANCE  STATE   FOR    PRIORITY  INTERFACE  VRID  MASTER     ADDRESSES
    VI_1      master  2 min  99        eth1       51    this host  192.168.224.51/24

    VI_1: no advertisement from 192.168.224.11 for 3.609 s
      no advertisements: interface eth1 has no carrier (no fault, because trackInterface is false)
    ");
}

#[test]
fn table_shows_missing_addresses() {
    let missing = |error: Option<&str>| MissingAddress {
        address: "2001:db8::51/64".parse().unwrap(),
        interface: "eth1".into(),
        error: error.map(Into::into),
    };
    let snapshot = Snapshot {
        instances: vec![RouterStatus {
            missing: vec![
                missing(Some("Permission denied (os error 13)")),
                missing(None),
            ],
            ..instance("VI_1", 51, State::Master)
        }],
        ..Snapshot::default()
    };
    insta::assert_snapshot!(plain(&snapshot), @r"
    INSTANCE  STATE   FOR    PRIORITY  INTERFACE  VRID  MASTER                      ADDRESSES
    VI_1      master  2 min  99        eth1       51    192.168.224.12 (this host)  192.168.224.51/24

    VI_1: no advertisement from 192.168.224.11 for 3.609 s
      missing: 2001:db8::51/64 on eth1: the kernel rejects it: Permission denied (os error 13)
      missing: 2001:db8::51/64 on eth1
    ");
}

#[test]
fn table_shows_flapping() {
    let with = |flapping| RouterStatus {
        flapping,
        ..instance("VI_1", 51, State::Backup)
    };
    let snapshot = Snapshot {
        instances: vec![with(Some(12)), with(Some(16))],
        ..Snapshot::default()
    };
    let text = plain(&snapshot);
    assert!(
        text.contains("\n  flapping: 12 transitions in the last minute\n"),
        "{text}"
    );
    let most = "\n  flapping: at least 16 transitions in the last minute\n";
    assert!(text.contains(most), "{text}");
}

#[test]
fn last_reload_is_shown_if_it_failed() {
    let rendered = |error: Option<&str>| {
        render(&Snapshot {
            daemon: Some(DaemonStatus {
                version: "0.1.0".into(),
                started_at: 1.5,
                reloads: 2,
                failed_reloads: 1,
                last_reload: Some(ReloadStatus {
                    age: 75.4,
                    error: error.map(Into::into),
                }),
            }),
            ..Snapshot::default()
        })
    };
    let text = rendered(Some("/run/vrrpd.json: invalid configuration"));
    let note = "the last reload failed 75 s ago, and the former configuration stays in force: \
                /run/vrrpd.json: invalid configuration\n";
    assert!(text.contains(note), "{text}");
    assert!(!rendered(None).contains("reload"));
}

#[test]
fn table_shows_the_last_claim_of_another_host() {
    let mut master = instance("VI_1", 51, State::Master);
    master.address_conflict = Some(ConflictStatus {
        address: [192, 168, 224, 51].into(),
        mac: "02:00:00:00:00:66".to_owned(),
        interface: "eth1".into(),
        age: 75.4,
    });
    master.counters.address_conflicts = 50;
    let snapshot = Snapshot {
        instances: vec![master],
        ..Snapshot::default()
    };
    insta::assert_snapshot!(plain(&snapshot), @"
    INSTANCE  STATE   FOR    PRIORITY  INTERFACE  VRID  MASTER                      ADDRESSES
    VI_1      master  2 min  99        eth1       51    192.168.224.12 (this host)  192.168.224.51/24

    VI_1: no advertisement from 192.168.224.11 for 3.609 s
      address conflict: 02:00:00:00:00:66 claimed 192.168.224.51 on eth1 75 s ago
      50 claims of virtual addresses by other hosts (ARP or neighbour discovery)
    ");
}

#[test]
fn table_shows_advertisements_that_are_not_sent() {
    let unsent = UnsentStatus {
        family: Family::V4,
        error: "Operation not permitted (os error 1)".into(),
        age: 75.4,
    };
    let mut master = instance("VI_1", 51, State::Master);
    master.unsent = vec![unsent];
    master.counters.adverts_unsent = 76;
    let snapshot = Snapshot {
        instances: vec![master],
        ..Snapshot::default()
    };
    insta::assert_snapshot!(plain(&snapshot), @"
    INSTANCE  STATE   FOR    PRIORITY  INTERFACE  VRID  MASTER                      ADDRESSES
    VI_1      master  2 min  99        eth1       51    192.168.224.12 (this host)  192.168.224.51/24

    VI_1: no advertisement from 192.168.224.11 for 3.609 s
      not sent for 75 s: advertisements (IPv4), which the kernel rejects: Operation not permitted (os error 1)
      76 advertisements not sent (rejected by the kernel)
    ");
}

#[test]
fn ipv6_source_is_serialised_where_present() {
    let both = RouterStatus {
        source_ipv6: Some("fe80::12".parse().unwrap()),
        ..instance("VI_1", 51, State::Master)
    };
    let told = |status: &RouterStatus| {
        let value = serde_json::to_value(status).unwrap();
        ["source", "sourceIpv6", "addresses"].map(|key| value.get(key).map(ToString::to_string))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        told(&both),
        [
            some("\"192.168.224.12\""),
            some("\"fe80::12\""),
            some("[\"192.168.224.51/24\"]")
        ]
    );
    assert_eq!(
        told(&ipv6("VI_1")),
        [
            some("\"fe80::12\""),
            None,
            some("[\"fe80::100/64\",\"2001:db8::100/64\"]")
        ]
    );
    for status in [both, ipv6("VI_1")] {
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<RouterStatus>(&text).unwrap(), status);
    }
}

#[test]
fn table_shows_deciding_member_of_group() {
    let with = |name, vrid| RouterStatus {
        cause: "with VI_1: no advertisement from 192.168.224.11 for 3.609 s".into(),
        ..instance(name, vrid, State::Master)
    };
    let snapshot = Snapshot {
        instances: vec![instance("VI_1", 51, State::Master), with("VI_2", 52)],
        groups: vec![group(Some("VI_1")), group(None)],
        ..Snapshot::default()
    };
    insta::assert_snapshot!(plain(&snapshot), @r"
    INSTANCE  STATE   FOR    PRIORITY  INTERFACE  VRID  MASTER                      ADDRESSES
    VI_1      master  2 min  99        eth1       51    192.168.224.12 (this host)  192.168.224.51/24
    VI_2      master  2 min  99        eth1       52    192.168.224.12 (this host)  192.168.224.52/24

    VI_1: no advertisement from 192.168.224.11 for 3.609 s
    VI_2: with VI_1: no advertisement from 192.168.224.11 for 3.609 s

    GROUP  STATE   FOR    MEMBERS    CAUSE
    VG_1   master  2 min  VI_1 VI_2  VI_1: no advertisement from 192.168.224.11 for 3.609 s
    VG_1   master  2 min  VI_1 VI_2  no advertisement from 192.168.224.11 for 3.609 s
    ");
    let json = serde_json::to_string(&group(Some("VI_1"))).unwrap();
    insta::assert_snapshot!(json, @r#"{"name":"VG_1","state":"master","stateAge":125.25,"members":["VI_1","VI_2"],"decidedBy":"VI_1","cause":"no advertisement from 192.168.224.11 for 3.609 s","notify":null}"#);
}

#[test]
fn snapshot_survives_serialisation() {
    let snapshot = Snapshot {
        instances: vec![instance("VI_1", 51, State::Master)],
        groups: vec![group(None), group(Some("VI_2"))],
        ..Snapshot::default()
    };
    let text = serde_json::to_string(&snapshot).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
}

#[test]
fn ages_have_one_fitting_unit() {
    assert_eq!(age(0.4), "0 s");
    assert_eq!(age(119.0), "119 s");
    assert_eq!(age(179.0), "2 min");
    assert_eq!(age(7_300.0), "2 h");
    assert_eq!(age(400_000.0), "4 d");
}

fn told_of(event: Event, up: bool, detail: &str, age: f64) -> NotifyRunStatus {
    NotifyRunStatus {
        event,
        succeeded: up,
        detail: detail.into(),
        age,
    }
}

fn group(decided_by: Option<&str>) -> GroupStatus {
    GroupStatus {
        name: "VG_1".into(),
        state: State::Master,
        state_age: 125.25,
        members: vec!["VI_1".into(), "VI_2".into()],
        decided_by: decided_by.map(Arc::from),
        cause: "no advertisement from 192.168.224.11 for 3.609 s".into(),
        notify: None,
    }
}

fn key(number: u8) -> KeyId {
    KeyId::new(number).unwrap()
}

fn sender(host: u8, number: u8, ahead: i64) -> SenderStatus {
    SenderStatus {
        address: [192, 168, 198, host].into(),
        key: key(number),
        ahead,
    }
}

/// Master instance with IPv6 addresses only.
fn ipv6(name: &str) -> RouterStatus {
    RouterStatus {
        version: Version::V3,
        source: Some("fe80::12".parse().unwrap()),
        addresses: addresses(&["fe80::100/64", "2001:db8::100/64"]),
        ..instance(name, 51, State::Master)
    }
}

fn addresses(texts: &[&str]) -> Arc<[InterfaceAddress]> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn lvs(role: Option<LvsRole>, error: Option<&str>, repairs: u64) -> LvsStatus {
    LvsStatus {
        interface: "eth1".into(),
        sync_id: 52,
        role,
        error: error.map(Into::into),
        repairs,
    }
}

pub(crate) fn instance(name: &str, vrid: u8, state: State) -> RouterStatus {
    RouterStatus {
        silence_counts_in: None,
        without_link: None,
        hold_off: None,
        next: None,
        preempt: true,
        missing: vec![],
        unsent: vec![],
        address_conflict: None,
        flapping: None,
        name: name.into(),
        interface: "eth1".into(),
        virtual_router_id: Vrid::new(vrid).unwrap(),
        version: Version::V2,
        state,
        state_age: 125.25,
        cause: "no advertisement from 192.168.224.11 for 3.609 s".into(),
        withheld: None,
        fault_in: None,
        releases_in: None,
        commands: vec![],
        priority: PriorityStatus {
            configured: Priority::new(99).unwrap(),
            effective: Priority::new(99).unwrap(),
            reasons: vec![],
            tracks: vec![],
        },
        advert_interval: 1.0,
        source: Some([192, 168, 224, 12].into()),

        source_ipv6: None,
        master: None,
        addresses: Arc::from([format!("192.168.224.{vrid}/24").parse().unwrap()]),
        routes: vec![],
        rules: vec![],
        checksum: ChecksumForm::MessageOnly,
        others: Vec::new(),
        hmac: None,
        unicast: None,
        notify: None,
        lvs: None,
        resources: None,
        counters: Counters::default(),
        history: vec![],
    }
}

/// The status as a program that is no terminal receives it.
fn plain(snapshot: &Snapshot) -> String {
    anstream::adapter::strip_str(&render(snapshot)).to_string()
}

#[test]
fn peers_have_a_row_with_their_differences() {
    let mut backup = instance("VI_1", 51, State::Backup);
    backup.version = Version::V3;
    let other = |last, checksum, differences: &[&str]| OtherRouter {
        address: [192, 168, 224, last].into(),
        priority: 100,
        age: 0.25,
        interval: 0.1,
        checksum,
        differences: differences.iter().map(|it| (*it).to_owned()).collect(),
    };
    let differences = [
        "advertisement interval 0.100 s, ours 1.000 s",
        "also lists 192.0.2.1",
    ];
    backup.others = vec![
        other(11, Some(ChecksumForm::WithPseudoHeader), &differences),
        other(13, Some(ChecksumForm::MessageOnly), &[]),
        other(14, None, &[]),
    ];
    let snapshot = Snapshot {
        instances: vec![backup],
        ..Snapshot::default()
    };
    let text = plain(&snapshot);
    let (_, peers) = text.split_once("\nPEER").expect("a table of the peers");
    insta::assert_snapshot!(format!("PEER{peers}"), @"
    PEER            INSTANCE  PRIORITY  VERSION  INTERVAL  LAST     CHECKSUM       DIFFERENCES
    192.168.224.11  VI_1      100       3        0.1 s     0 s ago  pseudo-header  advertisement interval 0.100 s, ours 1.000 s; also lists 192.0.2.1
    192.168.224.13  VI_1      100       3        0.1 s     0 s ago  message only   -
    192.168.224.14  VI_1      100       3        0.1 s     0 s ago  -              -
    ");
}

#[test]
fn states_have_colours_that_take_no_room() {
    let of = |state| Snapshot {
        instances: vec![instance("VI_1", 51, state)],
        ..Snapshot::default()
    };
    let text = render(&of(State::Master));
    assert!(text.contains("\x1b[32mmaster\x1b[0m  2 min"), "{text:?}");
    let text = render(&of(State::Fault));
    assert!(text.contains("\x1b[31mfault\x1b[0m  2 min"), "{text:?}");
    let text = render(&of(State::Backup));
    assert!(!text.contains('\x1b'), "{text:?}");
}
