//! HMAC authentication: signed advertisements are accepted once, in both families, and keys are changed
//! without a transition.

use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};
use serde_json::{Value, json};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Frame, Signal};
use vrrp_proto::State::{Backup, Master};
use vrrp_proto::wire::GROUP_V4;

use crate::common::{INTERVAL, LATE, SOON, assert_rhythm, down_interval, instance, only, with};
use crate::packets::forge_from;
use crate::pair::{HIGH, LOW, Pair};

/// Key of both hosts at the start.
const FIRST: &str = "0123456789abcdef0123456789abcdef";

/// Key that replaces the first one.
const SECOND: &str = "hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Returns the usual instance with HMAC authentication and an additional IPv6 address.
fn signing(priority: u8, hmac: Value) -> String {
    let more = json!({
        "virtualAddresses": ["192.168.224.100/24", "fd00:224::100/64"],
        "authentication": { "hmac": hmac },
    });
    only(with(instance(priority), more))
}

fn first() -> Value {
    json!({ "keys": { "1": { "key": FIRST } } })
}

pub(crate) fn signed_advertisements_are_accepted_in_both_families() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start_with(&signing(HIGH, first()), &signing(LOW, first()))?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    pair.lan.pass(&pair.a, 10)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    let status = b.instance("VI_1")?;
    assert_eq!((status.state, status.counters.dropped.total()), (Backup, 0));
    let hmac = status.hmac.ok_or("no hmac in the status")?;
    assert_eq!(hmac.senders.len(), 2, "one for each family: {hmac:?}");
    assert!(hmac.senders.iter().any(|sender| sender.address.is_ipv6()));
    assert!(hmac.senders.iter().all(|sender| sender.ahead == 0));
    assert!(
        a.instance("VI_1")?
            .hmac
            .is_some_and(|hmac| hmac.senders.is_empty())
    );
    Ok(())
}

pub(crate) fn replayed_advertisement_does_not_delay_takeover() -> Outcome {
    let pair = Pair::new()?;
    let stranger = pair.lan.station("stranger", 66)?;
    let (a, b) = pair.start_with(&signing(HIGH, first()), &signing(LOW, first()))?;
    let last = pair.lan.pass(&pair.a, 3)?;
    let frames = pair.lan.frames.frames();
    let recorded = frames
        .wait_for(|frame: &Frame| frame.at == last.at, SOON)
        .ok_or_else(|| Error::new("looking for the recorded advertisement", "not captured"))?;
    a.process().kill(Signal::SIGKILL)?;
    a.process().wait(SOON)?;
    let dead = pair.lan.adverts_of(&pair.a, 51, last.at);
    let died = dead.last().unwrap_or(&last).at;

    let socket = forge_from(&stranger.host)?;
    let group = SockaddrIn::from(std::net::SocketAddrV4::new(GROUP_V4, 0));
    let wait = down_interval(LOW, INTERVAL);
    while died.elapsed() < wait + LATE {
        let payload = recorded.payload();
        sendto(socket.as_raw_fd(), payload, &group, MsgFlags::empty())?;
        std::thread::sleep(INTERVAL / 5);
    }
    b.wait_for("VI_1", Backup, Master, died, SOON)?;
    let counters = b.instance("VI_1")?.counters;
    assert!(counters.dropped.HmacReplayed > 0, "{counters:?}");
    assert_eq!(counters.became_master, 1);
    assert!(pair.b.host.holds(crate::common::VIP)?);
    Ok(())
}

/// Introduces HMAC authentication and replaces the first key by the second one: each step is made on one
/// host after the other.
pub(crate) fn hmac_and_key_rollover_cause_no_transition() -> Outcome {
    let pair = Pair::new()?;
    let none = |priority| {
        let addresses = json!({ "virtualAddresses": ["192.168.224.100/24", "fd00:224::100/64"] });
        only(with(instance(priority), addresses))
    };
    let (a, b) = pair.start_with(&none(HIGH), &none(LOW))?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let both = json!({ "1": { "key": FIRST }, "2": { "key": SECOND } });
    let steps = [
        json!({ "keys": { "1": { "key": FIRST } }, "mode": "receiveOnly" }),
        json!({ "keys": { "1": { "key": FIRST } }, "mode": "permissive" }),
        json!({ "keys": { "1": { "key": FIRST } } }),
        json!({ "keys": both, "activeKey": 1 }),
        json!({ "keys": both, "activeKey": 2 }),
        json!({ "keys": { "2": { "key": SECOND } } }),
    ];
    for step in steps {
        // The order of the hosts makes no difference.
        b.reload(&signing(LOW, step.clone()))?;
        pair.lan.pass(&pair.a, 2)?;
        a.reload(&signing(HIGH, step))?;
        pair.lan.pass(&pair.a, 2)?;
    }
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    let (a, b) = (a.instance("VI_1")?, b.instance("VI_1")?);
    assert_eq!((a.counters.became_master, b.counters.became_master), (1, 0));
    assert_eq!(b.counters.dropped.total(), 0, "{:?}", b.counters);
    assert!(
        b.counters.adverts_without_hmac > 0,
        "unsigned advertisements before the first step"
    );
    let hmac = b.hmac.ok_or("no hmac in the status")?;
    assert!(
        hmac.senders.iter().all(|sender| sender.key.get() == 2),
        "{hmac:?}"
    );
    Ok(())
}
