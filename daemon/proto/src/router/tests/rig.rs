//! Fixtures: routers in every state, and advertisements for them.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::router::*;
use crate::types::Vrid;
use crate::wire::{AddressList, Auth};

pub(super) const T0: Instant = Instant::from_nanos(1_000_000_000_000);
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) const LOW: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 224, 11));
pub(super) const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 224, 12));
pub(super) const HIGH: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 224, 13));

/// Link-local addresses of the same three hosts.
pub(super) const LOW_V6: IpAddr = link_local(11);
pub(super) const OWN_V6: IpAddr = link_local(12);
pub(super) const HIGH_V6: IpAddr = link_local(13);

const fn link_local(host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, host))
}

/// Source address of the router in the family of `peer`.
pub(super) const fn own_for(peer: IpAddr) -> IpAddr {
    if peer.is_ipv4() { OWN } else { OWN_V6 }
}

pub(super) fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

pub(super) fn v3(priority: u8) -> Settings {
    Settings {
        version: Version::V3,
        priority: Priority::new(priority).unwrap(),
        interval: AdvertInterval::DEFAULT,
        preempt: true,
        preempt_delay: Duration::ZERO,
        startup_delay: Duration::ZERO,
        announce: Announcements::DEFAULT,
        families: Families::Ipv4,
        trust_wire: false,
        unsent: false,
    }
}

pub(super) fn v2(priority: u8) -> Settings {
    Settings {
        version: Version::V2,
        ..v3(priority)
    }
}

/// Settings of an instance of IPv6 alone.
pub(super) fn v6(priority: u8) -> Settings {
    Settings {
        families: Families::Ipv6,
        ..v3(priority)
    }
}

/// Settings of an instance of both families.
pub(super) fn dual(priority: u8) -> Settings {
    Settings {
        families: Families::Both,
        ..v3(priority)
    }
}

pub(super) fn fault_reason() -> FaultReason {
    FaultReason::NoCarrier("eth1".into())
}

pub(super) fn changed(from: State, cause: Cause) -> Reaction {
    Reaction {
        change: Some((from, cause)),
        ..Reaction::default()
    }
}

/// Reaction of a master that becomes backup of another: it sends a final advertisement.
pub(super) fn yielded(cause: Cause) -> Reaction {
    Reaction {
        send: Some(Send::Advert),
        ..changed(State::Master, cause)
    }
}

/// An advertisement. The router uses only its priority and interval.
pub(super) fn advert(priority: u8, centiseconds: u16) -> Advert<'static> {
    Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: AdvertInterval::from_centiseconds(centiseconds).unwrap(),
        addresses: AddressList::new(&[[192, 168, 224, 100]]),
        auth: Auth::None,
    }
}

/// Time of the next advertisement; announcements that are due before are made.
pub(super) fn next_advert(router: &mut Router) -> Instant {
    loop {
        match router.deadline() {
            Some((at, Due::Announcement)) => assert!(router.handle_tick(at).announce),
            Some((at, Due::Advertisement)) => return at,
            other => panic!("the router is not master: {other:?}"),
        }
    }
}

/// A router in `state`, half an interval after its last event. A backup follows [`HIGH`]; a master took
/// over more than a second ago.
pub(super) fn in_state(settings: Settings, state: State) -> (Router, Instant) {
    let mut router = Router::new(settings);
    let half = settings.interval.duration() / 2;
    let now = match state {
        State::Init => T0,
        State::Fault => {
            let _ = router.start(T0, Some(fault_reason()), false);
            T0 + SECOND
        }
        State::Backup => {
            let _ = router.start(T0, None, false);
            let _ = router.handle_advert(T0, T0, &advert(255, 100), HIGH, OWN);
            T0 + half
        }
        State::Master => {
            let _ = router.start(T0, None, false);
            let mut at = T0;
            for _ in 0..3 {
                if router.state() == State::Backup {
                    at = router.deadline().unwrap().0;
                } else {
                    at = next_advert(&mut router);
                }
                let _ = router.handle_tick(at);
            }
            at + half
        }
    };
    assert_eq!(router.state(), state);
    (router, now)
}

/// The master of a backup, with its priority.
pub(super) fn heard(router: &Router) -> Option<(IpAddr, u8)> {
    router.heard().map(|heard| (heard.from, heard.priority))
}
