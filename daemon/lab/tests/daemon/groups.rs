//! Sync groups: two hosts with two cards each, as in experiment 2, and VI_1 and VI_2 in one group.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Cable, Filter, Impairment, Moment, Result, Segment, Signal};
use vrrp_proto::State::{self, Backup, Fault, Master};

use crate::common::{INTERVAL, Lan, SOON, Station, VIP, assert_rhythm, with};

/// Virtual address of VI_2, on the second card.
const VIP_2: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 198, 100));

const MEMBERS: [&str; 2] = ["VI_1", "VI_2"];

pub(crate) fn experiment_2_fails_back_completely_only_with_sync_group() -> Outcome {
    let site = Site::new()?;
    let b = Vrrpd::start(&site.b.host, &alone(99))?;
    for name in MEMBERS {
        b.wait_for_state(name, Master, SOON)?;
    }
    let a = Vrrpd::start(&site.a.host, &alone(100))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    b.wait_for_state("VI_1", Backup, SOON)?;
    site.lan.pass(&site.a, 10)?;
    // A router of equal priority does not preempt.
    assert_eq!(
        (states(&a)?, states(&b)?),
        ([Master, Backup], [Backup, Master])
    );

    // Host a, the first one with the group configured, gives up VI_1, because it cannot be master of both
    // members.
    let grouped = Moment::now();
    a.reload(&grouped_as(100))?;
    let line = a.wait_for("VI_1", Master, Backup, grouped, SOON)?.text;
    let why = ": joined sync group VG_1, which is backup";
    assert!(line.ends_with(why), "{line}");
    b.wait_for("VI_1", Backup, Master, grouped, SOON)?;
    b.reload(&grouped_as(99))?;
    let line = a.wait_for("VI_1", Backup, Master, grouped, SOON)?.text;
    let why = "192.168.224.12 advertises priority 99, ours is 100: preempted";
    assert!(line.ends_with(&format!(": {why}")), "{line}");
    let line = a.wait_for("VI_2", Backup, Master, grouped, SOON)?.text;
    assert!(line.ends_with(&format!(": with VI_1: {why}")), "{line}");
    for name in MEMBERS {
        b.wait_for(name, Master, Backup, grouped, SOON)?;
    }
    is_whole(&a, Master)?;
    is_whole(&b, Backup)?;
    Ok(())
}

pub(crate) fn sync_group_fails_over_as_one_for_either_link() -> Outcome {
    let site = Site::new()?;
    let (a, b) = site.start()?;
    let cards = [
        ("VI_1", "ens33", &site.a.cable),
        ("VI_2", "ens36", &site.cable_2),
    ];
    for (member, card, cable) in cards {
        let fell = Moment::now();
        cable.pull()?;
        let why = format!("interface {card} has no carrier");
        site.assert_fallen(&a, &b, member, &why, fell)?;
        let recovered = Moment::now();
        cable.plug()?;
        site.assert_back(&a, &b, recovered)?;

        let fell = Moment::now();
        site.a.host.set_link(card, false)?;
        let why = format!("interface {card} is down");
        site.assert_fallen(&a, &b, member, &why, fell)?;
        let recovered = Moment::now();
        site.a.host.set_link(card, true)?;
        site.assert_back(&a, &b, recovered)?;
    }
    assert!(a.stop()?.success());
    assert!(b.stop()?.success());
    Ok(())
}

pub(crate) fn sync_group_holds_state_with_one_network_cut() -> Outcome {
    let site = Site::new()?;
    let (a, b) = site.start()?;
    let before = (moves(&a)?, moves(&b)?);
    for cable in [&site.b.cable, &site.cable_2_of_b] {
        cable.set(Impairment::cut())?;
        // Several times the Master_Down_Interval.
        site.lan.pass(&site.a, 20)?;
        assert_eq!((moves(&a)?, moves(&b)?), before);
        cable.set(Impairment::default())?;
        site.lan.pass(&site.a, 20)?;
        assert_eq!((moves(&a)?, moves(&b)?), before);
    }
    is_whole(&a, Master)?;
    is_whole(&b, Backup)?;

    // A host that returns and receives advertisements only in the other network does not take over either.
    assert!(a.stop()?.success());
    is_whole(&b, Master)?;
    let before = moves(&b)?;
    site.b.cable.set(Impairment::cut())?;
    let a = Vrrpd::start(&site.a.host, &grouped_as(100))?;
    is_whole(&a, Backup)?;
    let mut heard = Moment::now();
    for _ in 0..20 {
        heard = site.lan_2.advert(heard, |advert| advert.vrid == 52)?.at;
    }
    is_whole(&a, Backup)?;
    assert_eq!(moves(&b)?, before);
    let healed = Moment::now();
    site.b.cable.set(Impairment::default())?;
    site.assert_moved(&a, &b, healed)?;
    Ok(())
}

/// The second network is a cable for the heartbeat: its instance has no addresses.
pub(crate) fn heartbeat_member_prevents_two_masters() -> Outcome {
    let site = Site::new()?;
    let of = |priority| {
        let mut whole = document(priority);
        let heartbeat =
            json!({ "trackInterface": false, "startupDelay": "10ms", "virtualAddresses": [] });
        let instance = &mut whole["instances"]["VI_2"];
        *instance = with(instance.take(), heartbeat);
        whole.to_string()
    };
    let a = Vrrpd::start(&site.a.host, &of(100))?;
    is_whole(&a, Master)?;
    let b = Vrrpd::start(&site.b.host, &of(99))?;
    is_whole(&b, Backup)?;
    site.lan.pass(&site.a, 3)?;
    let before = (moves(&a)?, moves(&b)?);

    site.b.cable.set(Impairment::cut())?;
    site.lan.pass(&site.a, 20)?;
    assert_eq!((moves(&a)?, moves(&b)?), before, "the heartbeat arrives");
    site.b.cable.set(Impairment::default())?;
    site.lan.pass(&site.a, 5)?;

    // A direct cable has no carrier at either end when it breaks.
    for cable in [&site.cable_2, &site.cable_2_of_b] {
        cable.pull()?;
    }
    site.lan.pass(&site.a, 20)?;
    assert_eq!(
        (moves(&a)?, moves(&b)?),
        before,
        "the other network is whole"
    );
    a.process().kill(Signal::SIGKILL)?;
    is_whole(&b, Master)?;
    assert!(site.b.host.holds(VIP)?);
    Ok(())
}

pub(crate) fn tracker_weight_of_one_member_applies_to_group() -> Outcome {
    let site = Site::new()?;
    site.a
        .host
        .write("/run/check.sh", "#!/bin/sh\n! test -e /run/down\n", 0o755)?;
    let check =
        json!({ "check": { "script": { "command": ["/run/check.sh"], "interval": "100ms" } } });
    let follow = json!([{ "tracker": "check", "weight": -60 }]);
    let of_member = {
        let mut all = document(100);
        all["instances"]["VI_2"]["track"] = follow.clone();
        with(all, json!({ "trackers": check }))
    };
    let of_group = {
        let mut all = document(100);
        all["syncGroups"]["VG_1"]["track"] = follow;
        with(all, json!({ "trackers": check }))
    };
    let (a, b) = site.start()?;
    for followed in [of_member, of_group] {
        a.reload(&followed.to_string())?;
        let failed = Moment::now();
        site.a.host.write("/run/down", "", 0o644)?;
        site.assert_moved(&b, &a, failed)?;
        for name in MEMBERS {
            let priority = a.instance(name)?.priority;
            assert_eq!(
                (priority.effective.get(), &*priority.reasons),
                (40, &["check -60".to_owned()][..]),
                "{name}"
            );
        }
        let recovered = Moment::now();
        site.a.host.shell("rm /run/down")?;
        site.assert_moved(&a, &b, recovered)?;
    }
    Ok(())
}

pub(crate) fn reload_creates_and_dissolves_group_without_transition() -> Outcome {
    let site = Site::new()?;
    let (a, b) = site.start()?;
    let before = (moves(&a)?, moves(&b)?);
    let from = site.lan.pass(&site.a, 1)?.at;
    let mut reversed = document(100);
    reversed["syncGroups"]["VG_1"]["members"] = json!(["VI_2", "VI_1"]);
    let mut of_one = document(100);
    of_one["syncGroups"]["VG_1"]["members"] = json!(["VI_2"]);
    for on_a in [
        alone(100),
        of_one.to_string(),
        reversed.to_string(),
        grouped_as(100),
    ] {
        a.reload(&on_a)?;
        site.lan.pass(&site.a, 6)?;
    }
    for on_b in [alone(99), grouped_as(99)] {
        b.reload(&on_b)?;
        site.lan.pass(&site.a, 6)?;
    }
    assert_eq!((moves(&a)?, moves(&b)?), before);
    assert_rhythm(&site.lan.adverts_of(&site.a, 51, from), INTERVAL);
    is_whole(&a, Master)?;
    is_whole(&b, Backup)?;
    Ok(())
}

/// Fixture of hosts a and b on two networks.
struct Site {
    lan: Lan,
    lan_2: Lan,
    a: Station,
    b: Station,
    /// Second cable of a.
    cable_2: Cable,
    cable_2_of_b: Cable,
}

impl Site {
    fn new() -> Result<Self> {
        let (lan, segment) = (Lan::new()?, Segment::new("lan2")?);
        let (a, b) = (lan.station("a", 11)?, lan.station("b", 12)?);
        let cable_2 = segment.attach(&a.host, "ens36", "192.168.198.11/24")?;
        let cable_2_of_b = segment.attach(&b.host, "ens36", "192.168.198.12/24")?;
        let frames = segment.capture(Filter::all())?;
        Ok(Self {
            lan,
            lan_2: Lan { segment, frames },
            a,
            b,
            cable_2,
            cable_2_of_b,
        })
    }

    /// Starts both daemons. On return a is master of both instances, and b has received its advertisements.
    fn start(&self) -> Result<(Vrrpd<'_>, Vrrpd<'_>)> {
        let a = Vrrpd::start(&self.a.host, &grouped_as(100))?;
        is_whole(&a, Master)?;
        let b = Vrrpd::start(&self.b.host, &grouped_as(99))?;
        is_whole(&b, Backup)?;
        self.lan.pass(&self.a, 3)?;
        Ok((a, b))
    }

    /// Asserts that a is in fault with both instances, for a reason that concerns `member`, and that b is
    /// master of both.
    fn assert_fallen(
        &self,
        a: &Vrrpd<'_>,
        b: &Vrrpd<'_>,
        member: &str,
        why: &str,
        since: Moment,
    ) -> Result<()> {
        let cause_of = |name: &str| match name == member {
            true => why.to_owned(),
            false => format!("with {member}: {why}"),
        };
        for name in MEMBERS {
            let line = a.wait_for(name, Master, Fault, since, SOON)?.text;
            assert!(line.ends_with(&format!(": {}", cause_of(name))), "{line}");
            b.wait_for(name, Backup, Master, since, SOON)?;
        }
        is_whole(a, Fault)?;
        is_whole(b, Master)?;
        let status = a.status()?;
        for instance in &status.instances {
            assert_eq!(*instance.cause, cause_of(&instance.name));
        }
        let group = &status.groups[0];
        assert_eq!(
            (group.decided_by.as_deref(), &*group.cause),
            (Some(member), why)
        );
        for address in [VIP, VIP_2] {
            assert!(!self.a.host.holds(address)?, "a still holds {address}");
            assert!(self.b.host.holds(address)?, "b does not hold {address}");
        }
        Ok(())
    }

    /// Asserts that a is master of both again.
    fn assert_back(&self, a: &Vrrpd<'_>, b: &Vrrpd<'_>, since: Moment) -> Result<()> {
        self.assert_moved(a, b, since)?;
        for address in [VIP, VIP_2] {
            assert!(self.a.host.holds(address)?, "a does not hold {address}");
        }
        self.lan.pass(&self.a, 3)?;
        Ok(())
    }

    /// Asserts that both instances moved from one host to the other.
    fn assert_moved(&self, to: &Vrrpd<'_>, from: &Vrrpd<'_>, since: Moment) -> Result<()> {
        for name in MEMBERS {
            to.wait_for(name, Backup, Master, since, SOON)?;
            from.wait_for(name, Master, Backup, since, SOON)?;
        }
        is_whole(to, Master)?;
        is_whole(from, Backup)
    }
}

/// Returns the configuration of experiment 2 with another interval: VI_1 has this priority, VI_2 has 100 on
/// both hosts.
fn document(priority: u8) -> Value {
    let instance = |interface: &str, vrid: u8, priority: u8, address: &str| -> Value {
        json!({ "interface": interface, "virtualRouterId": vrid, "priority": priority,
                "advertInterval": "100ms", "virtualAddresses": [address] })
    };
    json!({
        "instances": {
            "VI_1": instance("ens33", 51, priority, "192.168.224.100/24"),
            "VI_2": instance("ens36", 52, 100, "192.168.198.100/24"),
        },
        "syncGroups": { "VG_1": { "members": MEMBERS } },
    })
}

fn grouped_as(priority: u8) -> String {
    document(priority).to_string()
}

fn alone(priority: u8) -> String {
    with(document(priority), json!({ "syncGroups": {} })).to_string()
}

/// Waits until both instances and their group are in this state.
fn is_whole(daemon: &Vrrpd<'_>, state: State) -> Result<()> {
    for name in MEMBERS {
        daemon.wait_for_state(name, state, SOON)?;
    }
    let groups = daemon.status()?.groups;
    assert_eq!(groups.len(), 1);
    assert_eq!((&*groups[0].name, groups[0].state), ("VG_1", state));
    Ok(())
}

fn states(daemon: &Vrrpd<'_>) -> Result<[State; 2]> {
    let status = daemon.status()?;
    Ok([status.instances[0].state, status.instances[1].state])
}

/// Number of transitions of all instances.
fn moves(daemon: &Vrrpd<'_>) -> Result<usize> {
    let instances = daemon.status()?.instances;
    Ok(instances
        .iter()
        .map(|instance| instance.history.len())
        .sum())
}
