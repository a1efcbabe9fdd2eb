//! The complete transition table: every state with every event.

use core::fmt::Write;

use super::rig::*;
use crate::router::*;
use crate::time::Human;

/// Every state with every event: the new state, the sent advertisements, and the timer. For the other
/// flavours only the lines that differ from an earlier flavour are shown. `docs/router.svg` is drawn
/// from the snapshot.
#[test]
fn transition_table_matches_the_snapshot() {
    let no_preemption = |settings| Settings {
        preempt: false,
        ..settings
    };
    let preempt_delay = Settings {
        preempt_delay: Duration::from_secs(10),
        ..v3(100)
    };
    let startup_delay = Settings {
        startup_delay: Duration::from_secs(60),
        ..v3(100)
    };
    let mut table = String::new();
    for (title, settings, earlier) in [
        ("version 3", v3(100), None),
        ("no preemption", no_preemption(v3(100)), Some(v3(100))),
        ("owner", v3(255), Some(v3(100))),
        (
            "owner, no preemption",
            no_preemption(v3(255)),
            Some(v3(255)),
        ),
        ("version 2", v2(100), Some(v3(100))),
        (
            "version 2, no preemption",
            no_preemption(v2(100)),
            Some(v2(100)),
        ),
        ("version 2, owner", v2(255), Some(v3(255))),
        ("both families", dual(100), Some(v3(100))),
        ("preempt delay", preempt_delay, Some(v3(100))),
        ("startup delay", startup_delay, Some(v3(100))),
    ] {
        writeln!(table, "{title}").unwrap();
        for state in [State::Init, State::Backup, State::Master, State::Fault] {
            let of_ipv6 = Event::OF_IPV6.iter().filter(|_| settings.is_dual());
            for event in Event::ALL.iter().chain(of_ipv6).copied() {
                let line = outcome(settings, state, event);
                if earlier.is_none_or(|earlier| line != outcome(earlier, state, event)) {
                    writeln!(table, "  {state:6} + {:36} -> {line}", event.words()).unwrap();
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[derive(Clone, Copy)]
enum Event {
    Start,
    StartExpectingMaster,
    StartWithFaultReason,
    Stop,
    FaultReason,
    NoFaultReason,
    GreaterPriority,
    EqualFromGreaterAddress,
    EqualFromSmallerAddress,
    EqualFromOwnAddress,
    LowerPriority,
    Resignation,
    AdvertOverslept,
    TickEarly,
    TickDue,
    TickDueAfterLowerPriority,
    TickDueAfterResignation,
    TickLate,
    TickLateByAnInterval,
    TickOverslept,
    WakeEarly,
    WakeOverslept,
    Settings,
    GreaterPriorityV6,
    EqualFromGreaterAddressV6,
    EqualFromSmallerAddressV6,
    EqualInIpv6Alone,
    LowerPriorityV6,
    ResignationV6,
    ResignationInBoth,
}

impl Event {
    const ALL: [Self; 23] = [
        Self::Start,
        Self::StartExpectingMaster,
        Self::StartWithFaultReason,
        Self::Stop,
        Self::FaultReason,
        Self::NoFaultReason,
        Self::GreaterPriority,
        Self::EqualFromGreaterAddress,
        Self::EqualFromSmallerAddress,
        Self::EqualFromOwnAddress,
        Self::LowerPriority,
        Self::Resignation,
        Self::AdvertOverslept,
        Self::TickEarly,
        Self::TickDue,
        Self::TickDueAfterLowerPriority,
        Self::TickDueAfterResignation,
        Self::TickLate,
        Self::TickLateByAnInterval,
        Self::TickOverslept,
        Self::WakeEarly,
        Self::WakeOverslept,
        Self::Settings,
    ];

    /// Events over IPv6, for instances of both families.
    const OF_IPV6: [Self; 7] = [
        Self::GreaterPriorityV6,
        Self::EqualFromGreaterAddressV6,
        Self::EqualFromSmallerAddressV6,
        Self::EqualInIpv6Alone,
        Self::LowerPriorityV6,
        Self::ResignationV6,
        Self::ResignationInBoth,
    ];

    fn words(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::StartExpectingMaster => "start, expecting to be master",
            Self::StartWithFaultReason => "start with a fault reason",
            Self::Stop => "stop",
            Self::FaultReason => "fault reason",
            Self::NoFaultReason => "no fault reason",
            Self::GreaterPriority => "advert of greater priority",
            Self::EqualFromGreaterAddress => "advert of equal, greater address",
            Self::EqualFromSmallerAddress => "advert of equal, smaller address",
            Self::EqualFromOwnAddress => "advert of equal, own address",
            Self::LowerPriority => "advert of lower priority",
            Self::Resignation => "advert of priority 0",
            Self::AdvertOverslept => "advert of lower, ten intervals late",
            Self::TickEarly => "tick early",
            Self::TickDue => "tick due",
            Self::TickDueAfterLowerPriority => "tick due after a lower priority",
            Self::TickDueAfterResignation => "tick due after priority 0",
            Self::TickLate => "tick late by half an interval",
            Self::TickLateByAnInterval => "tick late by an interval",
            Self::TickOverslept => "tick late by ten intervals",
            Self::WakeEarly => "wake",
            Self::WakeOverslept => "wake late by ten intervals",
            Self::Settings => "settings: priority - 10, 500 ms",
            Self::GreaterPriorityV6 => "IPv6 advert of greater priority",
            Self::EqualFromGreaterAddressV6 => "IPv6 advert of equal, greater",
            Self::EqualFromSmallerAddressV6 => "IPv6 advert of equal, smaller",
            Self::EqualInIpv6Alone => "the same after 10 s of IPv6 alone",
            Self::LowerPriorityV6 => "IPv6 advert of lower priority",
            Self::ResignationV6 => "IPv6 advert of priority 0",
            Self::ResignationInBoth => "adverts of priority 0 in both",
        }
    }

    /// Applies the event to `router`, which has had no other event until `now`. Returns the time of the
    /// event and the reaction.
    fn happen(self, router: &mut Router, now: Instant) -> (Instant, Reaction) {
        let settings = *router.settings();
        let own = settings.priority.get();
        let interval = settings.interval.duration();
        let due = router.deadline().map_or(now, |(at, _)| at);
        let mut receive_at = |now, priority: u8, source| {
            let advert = advert(priority, 200);
            let own = own_for(source);
            (now, router.handle_advert(now, now, &advert, source, own))
        };
        let mut receive = |priority, source| receive_at(now, priority, source);
        match self {
            Self::Start => (now, router.start(now, None, false)),
            Self::StartExpectingMaster => (now, router.start(now, None, true)),
            Self::StartWithFaultReason => (now, router.start(now, Some(fault_reason()), false)),
            Self::Stop => (now, router.stop(Cause::Stopped)),
            Self::FaultReason => {
                let down = FaultReason::TrackerDown("httpd".into());
                (now, router.set_fault_reason(now, Some(down)))
            }
            Self::NoFaultReason => (now, router.set_fault_reason(now, None)),
            Self::GreaterPriority => receive(own.saturating_add(1), HIGH),
            Self::EqualFromGreaterAddress => receive(own, HIGH),
            Self::EqualFromSmallerAddress => receive(own, LOW),
            Self::EqualFromOwnAddress => receive(own, OWN),
            Self::LowerPriority => receive(own - 1, HIGH),
            Self::Resignation => receive(0, HIGH),
            Self::AdvertOverslept => receive_at(due + interval * 10, own - 1, HIGH),
            Self::TickEarly => (now, router.handle_tick(now)),
            Self::TickDue => (due, router.handle_tick(due)),
            Self::TickDueAfterLowerPriority => {
                let _ = receive(own - 1, HIGH);
                tick_when_due(router, now)
            }
            Self::TickDueAfterResignation => {
                let _ = receive(0, HIGH);
                tick_when_due(router, now)
            }
            Self::TickLate => (due + interval / 2, router.handle_tick(due + interval / 2)),
            Self::TickLateByAnInterval => (due + interval, router.handle_tick(due + interval)),
            Self::TickOverslept => (due + interval * 10, router.handle_tick(due + interval * 10)),
            Self::WakeEarly => (now, router.wake(now)),
            Self::WakeOverslept => (due + interval * 10, router.wake(due + interval * 10)),
            Self::Settings => {
                let changed = Settings {
                    priority: Priority::new(own - 10).unwrap(),
                    interval: AdvertInterval::from_centiseconds(50).unwrap(),
                    ..settings
                };
                router.set_settings(now - interval / 4, changed);
                (now - interval / 4, Reaction::default())
            }
            Self::GreaterPriorityV6 => receive(own + 1, HIGH_V6),
            Self::EqualFromGreaterAddressV6 => receive(own, HIGH_V6),
            Self::EqualFromSmallerAddressV6 => receive(own, LOW_V6),
            Self::EqualInIpv6Alone => {
                let _ = receive(own, HIGH_V6);
                let (half, later) = (now + Duration::from_secs(5), now + Duration::from_secs(10));
                let advert = advert(own, 200);
                let mut go_on_until = |at| {
                    // A master keeps advertising meanwhile.
                    while let Some((due, Due::Advertisement)) = router.deadline()
                        && due <= at
                    {
                        let _ = router.handle_tick(due);
                    }
                    router.handle_advert(at, at, &advert, HIGH_V6, OWN_V6)
                };
                // A silence of Active_Down_Interval would restart the series.
                let _ = go_on_until(half);
                let reaction = go_on_until(later);
                (later, reaction)
            }
            Self::LowerPriorityV6 => receive(own - 1, HIGH_V6),
            Self::ResignationV6 => receive(0, HIGH_V6),
            Self::ResignationInBoth => {
                let _ = receive(0, HIGH);
                receive(0, HIGH_V6)
            }
        }
    }
}

/// Ticks a router at its deadline, if it has one.
fn tick_when_due(router: &mut Router, now: Instant) -> (Instant, Reaction) {
    let due = router.deadline().map_or(now, |(at, _)| at);
    (due, router.handle_tick(due))
}

/// Effect of `event` on a router in `state`, in words.
fn outcome(settings: Settings, state: State, event: Event) -> String {
    let (mut router, now) = in_state(settings, state);
    let before = router.deadline();
    let (at, reaction) = event.happen(&mut router, now);
    let mut words = vec![router.state().to_string()];
    words.extend(reaction.send.map(|send| match send {
        Send::Advert => "advertises".to_owned(),
        Send::Resignation => "resigns".to_owned(),
        Send::FinalAdvertisement => "final advertisement".to_owned(),
    }));
    words.extend(reaction.announce.then(|| "announces".to_owned()));
    words.extend(reaction.late.then(|| "was late".to_owned()));
    words.extend(reaction.second_master.then(|| "second master".to_owned()));
    let after = router.deadline();
    if after != before {
        words.push(after.map_or("timer off".to_owned(), |(due, why)| {
            format!("{why} in {}", Human(due.since(at)))
        }));
    }
    if let Some((from, cause)) = reaction.change {
        assert_eq!(from, state, "the change names the former state");
        words.push(format!("({cause})"));
    }
    words.join("; ")
}
