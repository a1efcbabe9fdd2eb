//! Replay protection: the sequence numbers of this router's advertisements, and the last accepted
//! number of each sender.

use core::net::IpAddr;
use core::time::Duration;

use crate::checkpoint::SenderCheckpoint;
use crate::params::AntiReplay;
use crate::time::Instant;
use crate::wire::hmac::{KeyId, Sequence};

/// Maximum number of senders that a router remembers. Only senders with a correct HMAC are
/// remembered, and a virtual router rarely has more than two that advertise. The least recently
/// seen one is forgotten first; its advertisements within the window could then be replayed.
const SENDERS: usize = 16;

impl AntiReplay {
    /// Whether an advertisement with `sequence` was sent within the window. Always true without
    /// one.
    pub(crate) fn is_timely(self, sequence: Sequence, wall: Duration) -> bool {
        match self {
            Self::Time { window } => {
                sequence.seconds_ahead(wall).unsigned_abs() <= window.as_secs()
            }
            Self::Monotonic => true,
        }
    }

    /// The window, if the clock of a sender that is `ahead` by so many seconds is about to leave it:
    /// half of it is used up.
    pub(crate) fn nearly_exceeded(self, ahead: i64) -> Option<Duration> {
        match self {
            Self::Time { window } if ahead.unsigned_abs() * 2 >= window.as_secs() => Some(window),
            Self::Time { .. } | Self::Monotonic => None,
        }
    }
}

/// Sequence numbers of this router's own advertisements.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    last: Option<Sequence>,
}

impl Sent {
    /// Returns the sequence number of an advertisement that is sent now: the wall clock, or the
    /// last number plus one if the clock has not advanced.
    ///
    /// A clock that was ahead by more than the window may be corrected. Numbers of the former time
    /// are then outside the window of all receivers, so the numbers restart from the clock, and the
    /// receivers disregard the former ones. Without a window a number has to be greater than the
    /// last, so the numbers never restart.
    pub(crate) fn next(&mut self, wall: Duration, anti_replay: AntiReplay) -> Sequence {
        let clock = Sequence::at(wall);
        let next = match self.last {
            Some(last) if !clock.is_after(last) && anti_replay.is_timely(last, wall) => last.next(),
            _ => clock,
        };
        self.last = Some(next);
        next
    }
}

impl Sent {
    /// The last number, for a later process.
    pub(crate) fn save(&self) -> Option<u64> {
        self.last.map(Sequence::to_bits)
    }

    /// Numbers that continue after that of an earlier process.
    pub(crate) fn restore(last: Option<u64>) -> Self {
        Self {
            last: last.map(Sequence::from_bits),
        }
    }
}

/// Senders of accepted advertisements, with the last sequence number of each.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The most recent sender is the last element.
    senders: Vec<Sender>,
}

/// A sender with a correct HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) address: IpAddr,
    pub(crate) sequence: Sequence,
    /// Key of its last advertisement.
    pub(crate) key: KeyId,
    /// Seconds by which its clock was ahead of this host's.
    pub(crate) ahead: i64,
    /// Until then a greater number continues its series: see [`Heard::continues`].
    pub(crate) continues_until: Instant,
}

impl Heard {
    /// Whether the advertisement of `sender` is new, at a wall clock of `wall` at its arrival.
    pub(crate) fn is_new(&self, sender: &Sender, wall: Duration, anti_replay: AntiReplay) -> bool {
        self.place(sender).is_none_or(|at| {
            let last = self.senders[at].sequence;
            // A last number outside the window protects nothing, because the window already rejects
            // it. If it still counted, advertisements of a sender with a corrected clock would be
            // rejected until its clock reached the former time.
            !anti_replay.is_timely(last, wall) || sender.sequence.is_after(last)
        })
    }

    /// Whether an advertisement that arrives at `at` continues those of its sender: it has a greater number, and
    /// follows the last one within the master-down interval. The time of signing proves nothing more then, and
    /// either clock may have been set since.
    pub(crate) fn continues(&self, from: IpAddr, sequence: Sequence, at: Instant) -> bool {
        let mut senders = self.senders.iter();
        senders.any(|known| {
            let follows = sequence.is_after(known.sequence) && at <= known.continues_until;
            known.address == from && follows
        })
    }

    /// Records a new advertisement of `sender`, as the most recent one.
    pub(crate) fn record(&mut self, sender: Sender) {
        if let Some(at) = self.place(&sender) {
            self.senders.remove(at);
        } else if self.senders.len() == SENDERS {
            self.senders.remove(0);
        }
        self.senders.push(sender);
    }

    /// The numbers, for a later process.
    pub(crate) fn save(&self) -> Vec<SenderCheckpoint> {
        let senders = self.senders.iter().map(|sender| SenderCheckpoint {
            address: sender.address,
            sequence: sender.sequence.to_bits(),
            key: sender.key,
            ahead: sender.ahead,
            continues_until: sender.continues_until,
        });
        senders.collect()
    }

    /// The numbers that an earlier process has accepted.
    pub(crate) fn restore(senders: &[SenderCheckpoint]) -> Self {
        let senders = senders.iter().take(SENDERS).map(|sender| Sender {
            address: sender.address,
            sequence: Sequence::from_bits(sender.sequence),
            key: sender.key,
            ahead: sender.ahead,
            continues_until: sender.continues_until,
        });
        Self {
            senders: senders.collect(),
        }
    }

    fn place(&self, sender: &Sender) -> Option<usize> {
        self.senders
            .iter()
            .position(|known| known.address == sender.address)
    }

    /// The senders, the most recent one last.
    pub(crate) fn senders(&self) -> &[Sender] {
        &self.senders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: AntiReplay = AntiReplay::Time {
        window: Duration::from_secs(5),
    };
    const NOW: Duration = Duration::from_secs(1_800_000_000);

    impl Heard {
        fn admit(&mut self, sender: Sender, wall: Duration, anti_replay: AntiReplay) -> bool {
            let is_new = self.is_new(&sender, wall, anti_replay);
            if is_new {
                self.record(sender);
            }
            is_new
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Advertisement of the host `number` when its clock reads `wall`.
    fn from(number: u8, wall: Duration) -> Sender {
        Sender {
            address: [192, 168, 224, number].into(),
            sequence: Sequence::at(wall),
            key: KeyId::new(1).unwrap(),
            ahead: 0,
            continues_until: Instant::ZERO,
        }
    }

    #[test]
    fn sequence_numbers_follow_the_clock_and_always_grow() {
        for anti_replay in [TIME, AntiReplay::Monotonic] {
            let mut sent = Sent::default();
            let first = sent.next(NOW, anti_replay);
            assert_eq!(first, Sequence::at(NOW));
            assert_eq!(sent.next(NOW, anti_replay), first.next());
            // The clock was set back by as much as the window allows.
            assert_eq!(
                sent.next(NOW - seconds(5), anti_replay),
                first.next().next()
            );
            let later = NOW + seconds(1);
            assert_eq!(sent.next(later, anti_replay), Sequence::at(later));
        }
    }

    #[test]
    fn sequence_numbers_restart_when_the_clock_leaves_the_window() {
        let back = NOW - seconds(6);
        let mut sent = Sent::default();
        sent.next(NOW, TIME);
        assert_eq!(sent.next(back, TIME), Sequence::at(back));
        let mut sent = Sent::default();
        let last = sent.next(NOW, AntiReplay::Monotonic);
        assert_eq!(sent.next(back, AntiReplay::Monotonic), last.next());
    }

    #[test]
    fn sequence_number_is_accepted_once_in_increasing_order() {
        for anti_replay in [TIME, AntiReplay::Monotonic] {
            let mut heard = Heard::default();
            let mut admit = |sender| heard.admit(sender, NOW, anti_replay);
            assert!(admit(from(1, NOW)));
            assert!(!admit(from(1, NOW)));
            assert!(admit(from(1, NOW + seconds(2))));
            assert!(!admit(from(1, NOW + seconds(1))));
            assert!(
                admit(from(2, NOW)),
                "numbers of another sender are independent"
            );
        }
    }

    #[test]
    fn replay_window_extends_in_both_directions() {
        let timely = |anti_replay: AntiReplay, wall| anti_replay.is_timely(Sequence::at(NOW), wall);
        assert!(timely(TIME, NOW + seconds(5)) && timely(TIME, NOW - seconds(5)));
        assert!(!timely(TIME, NOW + seconds(6)) && !timely(TIME, NOW - seconds(6)));
        assert!(timely(AntiReplay::Monotonic, seconds(0)));
    }

    #[test]
    fn half_the_window_is_a_warning_in_both_directions() {
        for (ahead, warns) in [(0, false), (2, false), (3, true), (-2, false), (-3, true)] {
            assert_eq!(TIME.nearly_exceeded(ahead).is_some(), warns, "{ahead}");
        }
        assert_eq!(AntiReplay::Monotonic.nearly_exceeded(3600), None);
    }

    #[test]
    fn sender_with_corrected_clock_is_accepted_after_the_window() {
        let mut heard = Heard::default();
        assert!(heard.admit(from(1, NOW + seconds(4)), NOW, TIME));
        assert!(!heard.admit(from(1, NOW), NOW, TIME));
        // By now the real time has passed the sender's former time.
        let later = NOW + seconds(10);
        assert!(heard.admit(from(1, later - seconds(5)), later, TIME));
        let mut heard = Heard::default();
        assert!(heard.admit(from(1, NOW + seconds(4)), NOW, AntiReplay::Monotonic));
        assert!(!heard.admit(from(1, NOW), later, AntiReplay::Monotonic));
    }

    #[test]
    fn continued_advertisements_have_greater_numbers_and_no_gap() {
        let mut heard = Heard::default();
        let until = Instant::ZERO + seconds(3);
        heard.record(Sender {
            continues_until: until,
            ..from(1, NOW)
        });
        let other_clock = Sequence::at(NOW + seconds(3_600));
        let continues = |number: u8, sequence, at| {
            heard.continues([192, 168, 224, number].into(), sequence, at)
        };
        assert!(continues(1, other_clock, until));
        assert!(!continues(1, other_clock, until + Duration::from_nanos(1)));
        assert!(!continues(1, Sequence::at(NOW), until));
        assert!(!continues(2, other_clock, until));
    }

    #[test]
    fn least_recently_seen_sender_is_forgotten_first() {
        let mut heard = Heard::default();
        let mut admit = |number, wall| heard.admit(from(number, wall), NOW, AntiReplay::Monotonic);
        for number in 0..16 {
            assert!(admit(number, NOW));
        }
        assert!(admit(0, NOW + seconds(1)));
        assert!(admit(16, NOW));
        assert!(!admit(0, NOW), "sender 0 was seen again");
        assert!(!admit(2, NOW));
        assert!(admit(1, NOW), "sender 1 was forgotten");
        assert_eq!(heard.senders().len(), SENDERS);
    }
}
