//! Rate limit for announcements (gratuitous ARP and unsolicited neighbour advertisements). Pure.
//!
//! A switch or a neighbour that learns hundreds of addresses at once may drop some of them. Announcements
//! with a configured pace wait in a queue for each interface and are sent in groups, at most a hundred
//! groups per second, so that the event loop does not wake for each one. The pace of an interface is never
//! exceeded, not even after the loop was late. The queue is bounded, because an announcement that is
//! waiting is not queued again.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Announcement, Instant, InterfaceAddress, InterfaceIndex, MacAddress};

/// Maximum number of groups per second.
const GROUPS: u32 = 100;

/// Queues of announcements that wait to be sent, one for each interface.
#[derive(Debug, Default)]
pub struct Pacer {
    lines: BTreeMap<InterfaceIndex, Line>,
}

#[derive(Debug)]
struct Line {
    waiting: VecDeque<Announcement>,
    /// Number of packets sent of the first announcement, counted over all rounds of its burst.
    sent: usize,
    /// Earliest time of the next group.
    due: Instant,
}

impl Pacer {
    /// Appends an announcement to the queue of its interface, unless an equal one is waiting. One that is
    /// being sent does not count as waiting, because its first addresses were sent before this call.
    ///
    /// An announcement without a pace need not be queued; if it is, it is sent as fast as possible.
    pub fn add(&mut self, now: Instant, announcement: Announcement) {
        let line = self
            .lines
            .entry(announcement.interface)
            .or_insert_with(|| Line {
                waiting: VecDeque::new(),
                sent: 0,
                due: now,
            });
        let has_begun = usize::from(line.sent > 0);
        if !line
            .waiting
            .iter()
            .skip(has_begun)
            .any(|known| *known == announcement)
        {
            line.waiting.push_back(announcement);
        }
    }

    /// Time of the next call of [`take`](Self::take).
    pub fn due(&self) -> Option<Instant> {
        self.lines.values().map(|line| line.due).min()
    }

    /// Calls `send` for each packet that may be sent by `now`. An address for which `held` returns false
    /// has left this host in the meantime and is skipped.
    pub fn take(
        &mut self,
        now: Instant,
        held: impl Fn(InterfaceIndex, InterfaceAddress) -> bool,
        mut send: impl FnMut(InterfaceIndex, MacAddress, IpAddr),
    ) {
        self.lines.retain(|interface, line| {
            while line.due <= now {
                let Some(announcement) = line.waiting.front() else {
                    // An empty queue is dropped, so that the next announcement is sent at once.
                    return false;
                };
                // A pace below a hundred per second is sent one packet at a time.
                let group = (announcement.pace / GROUPS).max(1);
                let (mac, count) = (announcement.mac, announcement.addresses.len());
                let rounds = count * usize::from(announcement.burst);
                let mut left = 0;
                while line.sent < rounds && left < group {
                    let address = announcement.addresses[line.sent % count];
                    line.sent += 1;
                    if held(*interface, address) {
                        left += 1;
                        send(*interface, mac, address.address);
                    }
                }
                // The delay counts from `now` and not from the deadline, so that lateness is not made up
                // for by a burst.
                if left > 0 {
                    line.due = now + Duration::from_secs(1) * left / announcement.pace.max(1);
                }
                if line.sent == rounds {
                    line.waiting.pop_front();
                    line.sent = 0;
                }
            }
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    const ETH1: InterfaceIndex = InterfaceIndex(2);
    const ETH2: InterfaceIndex = InterfaceIndex(3);
    const T0: Instant = Instant::from_nanos(1_000_000_000_000);

    fn announcement(interface: InterfaceIndex, count: u8, burst: u8, pace: u32) -> Announcement {
        let address = |n| format!("192.0.2.{n}/24").parse().unwrap();
        Announcement {
            interface,
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            addresses: (1..=count).map(address).collect(),
            burst,
            pace,
        }
    }

    /// Sends until the queues are empty. Returns the time since [`T0`] and the last octet of each packet.
    fn all(pacer: &mut Pacer, held: impl Fn(u8) -> bool) -> Vec<(Duration, u8)> {
        let mut sent = Vec::new();
        while let Some(due) = pacer.due() {
            let now = due.max(T0);
            let held = |_, address: InterfaceAddress| held(last_octet(address.address));
            pacer.take(now, held, |_, _, address| {
                sent.push((now.since(T0), last_octet(address)));
            });
        }
        sent
    }

    fn last_octet(address: IpAddr) -> u8 {
        match address {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[15],
        }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn announcement_starts_at_once_and_follows_pace() {
        let mut pacer = Pacer::default();
        pacer.add(T0, announcement(ETH1, 3, 1, 10));
        let sent = [(millis(0), 1), (millis(100), 2), (millis(200), 3)];
        assert_eq!(all(&mut pacer, |_| true), sent);
        assert_eq!(pacer.due(), None, "no deadline without a queue");
    }

    #[test]
    fn burst_repeats_list_of_addresses() {
        let mut pacer = Pacer::default();
        pacer.add(T0, announcement(ETH1, 2, 2, 1));
        let octets: Vec<_> = all(&mut pacer, |_| true)
            .into_iter()
            .map(|(_, n)| n)
            .collect();
        assert_eq!(octets, [1, 2, 1, 2]);
    }

    #[test]
    fn fast_pace_sends_hundred_groups_a_second() {
        let mut pacer = Pacer::default();
        pacer.add(T0, announcement(ETH1, 250, 4, 5000));
        let sent = all(&mut pacer, |_| true);
        assert_eq!(sent.len(), 1000);
        for (n, (at, _)) in sent.iter().enumerate() {
            assert_eq!(*at, millis(10) * u32::try_from(n / 50).unwrap());
        }
    }

    #[test]
    fn interfaces_have_independent_queues() {
        let mut pacer = Pacer::default();
        pacer.add(T0, announcement(ETH1, 1, 1, 1));
        assert_eq!(all_now(&mut pacer, T0), [1]);
        pacer.add(T0, announcement(ETH1, 2, 1, 1));
        pacer.add(T0, announcement(ETH2, 3, 1, 1));
        assert_eq!(all_now(&mut pacer, T0 + millis(999)), [1], "eth2's");
        assert_eq!(all_now(&mut pacer, T0 + millis(1000)), [1], "eth1's");
    }

    #[test]
    fn released_address_is_skipped_without_delay() {
        let mut pacer = Pacer::default();
        pacer.add(T0, announcement(ETH1, 5, 1, 10));
        let sent = [(millis(0), 2), (millis(100), 4)];
        assert_eq!(all(&mut pacer, |n| n % 2 == 0), sent);
        pacer.add(T0, announcement(ETH1, 5, 100, 10));
        assert_eq!(all(&mut pacer, |_| false), []);
    }

    #[test]
    fn waiting_announcement_is_not_queued_twice() {
        let mut pacer = Pacer::default();
        for _ in 0..10 {
            pacer.add(T0, announcement(ETH1, 2, 1, 10));
        }
        assert_eq!(all_now(&mut pacer, T0), [1]);
        for _ in 0..10 {
            pacer.add(T0, announcement(ETH1, 2, 1, 10));
        }
        let octets: Vec<_> = all(&mut pacer, |_| true)
            .into_iter()
            .map(|(_, n)| n)
            .collect();
        assert_eq!(octets, [2, 1, 2]);
    }

    #[test]
    fn late_loop_sends_no_burst() {
        let mut pacer = Pacer::default();
        pacer.add(T0, announcement(ETH1, 10, 1, 10));
        assert_eq!(all_now(&mut pacer, T0), [1]);
        let late = T0 + millis(5000);
        assert_eq!(all_now(&mut pacer, late), [2]);
        assert_eq!(all_now(&mut pacer, late + millis(99)), [0; 0]);
        assert_eq!(all_now(&mut pacer, late + millis(100)), [3]);
    }

    /// Returns the last octets of the packets sent at `now`.
    fn all_now(pacer: &mut Pacer, now: Instant) -> Vec<u8> {
        let mut sent = Vec::new();
        pacer.take(
            now,
            |_, _| true,
            |_, _, address| sent.push(last_octet(address)),
        );
        sent
    }

    proptest! {
        /// For any announcements and any lateness of the loop: all packets are sent, and in no second more
        /// than the pace and one group.
        #[test]
        fn pace_holds_for_any_lateness(
            pace in 1..2000_u32,
            count in 1..60_u8,
            burst in 1..4_u8,
            lateness in proptest::collection::vec(0..30_u64, 1..50),
        ) {
            let mut pacer = Pacer::default();
            let addresses = announcement(ETH1, count, burst, pace);
            pacer.add(T0, Announcement { addresses: Arc::clone(&addresses.addresses), ..addresses });
            let mut times = Vec::new();
            let mut late = lateness.iter().cycle();
            while let Some(due) = pacer.due() {
                let now = due + millis(*late.next().unwrap());
                pacer.take(now, |_, _| true, |_, _, _| times.push(now));
            }
            prop_assert_eq!(times.len(), usize::from(count) * usize::from(burst));
            let most = usize::try_from(pace + (pace / GROUPS).max(1)).unwrap();
            for (n, first) in times.iter().enumerate() {
                let within = times[n..].iter().take_while(|at| at.since(*first) < millis(1000));
                prop_assert!(within.count() <= most);
            }
        }
    }
}
