//! What a master keeps track of: when it speaks and announces, and how it treats those who are
//! master beside it.

use core::net::IpAddr;
use core::time::Duration;

use super::{Reaction, Send, Settings, down_interval, next_due};
use crate::events::Due;
use crate::params::Announcements;
use crate::time::Instant;
use crate::types::{AdvertInterval, Version};

/// The least time between two replies to masters of lower precedence or to their resignations: the
/// shortest interval of the protocol, so that a flood of packets is not answered by another.
pub(super) const REPLY_SPACING: Duration = Duration::from_millis(10);

/// The least time between an announcement and the next because of masters of lower precedence.
const ANNOUNCE_SPACING: Duration = Duration::from_secs(1);

/// For how long after a take-over the former master's last word is no news.
const LAST_WORD: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Master {
    /// Since when it is master.
    since: Instant,
    /// When the next advertisement is due: the last due time and the interval.
    advert_at: Instant,
    /// When the last one was sent.
    sent_at: Instant,
    /// Whether it is off its network, and what it has to say must wait.
    is_away: bool,
    /// Whether an advertisement was due meanwhile.
    missed: bool,
    /// The interval that it told the others, by which they wait for the next.
    told: AdvertInterval,
    /// When it came to its network: the take-over, or the end of the last interruption. The
    /// announcements to come are counted from it.
    arrived_at: Instant,
    /// When the addresses are announced again by the settings.
    announce_at: Option<Instant>,
    /// When they are announced because of somebody of lower precedence, which had to be put off.
    correct_at: Option<Instant>,
    /// When somebody of lower precedence was last replied to or, when that lies ahead, will be.
    replied_at: Option<Instant>,
    /// When the addresses were last announced.
    announced_at: Instant,
    /// In an instance of both families: since when the address loses ties in IPv6 while nobody
    /// else is heard in IPv4, and when it lost the last.
    losing: Option<(Instant, Instant)>,
}

impl Master {
    /// Becomes master because of a deadline at `due`, from which its advertisements are counted.
    pub(super) fn new(now: Instant, due: Instant, settings: &Settings) -> Self {
        let mut master = Self {
            since: now,
            // RFC 9568 6.4.2 MUST: Adver_Timer is set to the own interval
            advert_at: next_due(due, settings.interval.duration(), now),
            sent_at: now,
            is_away: false,
            missed: false,
            told: settings.interval,
            arrived_at: now,
            announce_at: None,
            correct_at: None,
            replied_at: None,
            announced_at: now,
            losing: None,
        };
        master.announce_at = master.next_announcement(now, settings);
        master
    }

    /// When it wants to be ticked, and why.
    pub(super) fn deadline(&self) -> (Instant, Due) {
        match self.announcement() {
            Some(at) if at < self.advert_at => (at, Due::Announcement),
            Some(_) | None => (self.advert_at, Due::Advertisement),
        }
    }

    /// Does what is due.
    pub(super) fn handle_tick(&mut self, now: Instant, settings: &Settings) -> Reaction {
        let mut reaction = Reaction::default();
        if now >= self.advert_at {
            // RFC 9568 6.4.3 MUST: when Adver_Timer fires, advertise and set it again
            reaction.send = self.advertise(now, settings);
            self.advert_at = next_due(self.advert_at, settings.interval.duration(), now);
        }
        if self.announcement().is_some_and(|at| now >= at) {
            reaction.announce = true;
            self.announced(now);
            if self.announce_at.is_some_and(|at| now >= at) {
                self.announce_at = self.next_announcement(now, settings);
            }
        }
        reaction
    }

    /// Goes on with other settings: a shorter interval counts at once, and announcements are due as
    /// if it had become master with them.
    pub(super) fn set_settings(&mut self, now: Instant, before: &Settings, settings: &Settings) {
        if settings.interval != before.interval {
            self.advert_at = self.advert_at.min(now + settings.interval.duration());
        }
        if settings.announce != before.announce {
            self.announce_at = self.next_announcement(now, settings);
        }
    }

    /// Is off its network, and silent until it is back.
    pub(super) const fn depart(&mut self) {
        self.is_away = true;
    }

    /// Is back on its network: what was due meanwhile is sent, and the addresses are announced as
    /// after a take-over.
    pub(super) fn arrive(&mut self, now: Instant, settings: &Settings) -> Reaction {
        self.arrived_at = now;
        self.announce_at = self.next_announcement(now, settings);
        self.is_away = false;
        let missed = core::mem::take(&mut self.missed);
        let send = if missed {
            self.advertise(now, settings)
        } else {
            None
        };
        Reaction {
            send,
            announce: true,
            ..Reaction::default()
        }
    }

    /// Since when it is silent, and the interval that the others wait by.
    pub(super) const fn last_word(&self) -> (Instant, AdvertInterval) {
        (self.sent_at, self.told)
    }

    /// Takes note of who advertises beside it, whatever it says.
    pub(super) const fn record_source(&mut self, source: IpAddr) {
        if source.is_ipv4() {
            self.losing = None;
        }
    }

    /// Whether it yields to an equal with the greater address. In an instance of both families IPv4
    /// decides: of two hosts each may have the greater address in one, and both would yield. Only
    /// to somebody who speaks IPv6 alone, for as long as one waits for a master, the tie in IPv6 is
    /// lost.
    pub(super) fn yields_to_equal(
        &mut self,
        now: Instant,
        source: IpAddr,
        interval: AdvertInterval,
        settings: &Settings,
    ) -> bool {
        if !settings.is_dual() || source.is_ipv4() {
            return true;
        }
        let wait = down_interval(settings, interval);
        // Whoever has been silent for so long since is another one, or has just come back: whether it
        // speaks IPv4 too is not known yet.
        let goes_on = |(_, last): &(Instant, Instant)| now.since(*last) < wait;
        let (since, _) = self.losing.filter(goes_on).unwrap_or((now, now));
        self.losing = Some((since, now));
        now.since(since) >= wait
    }

    /// Somebody else gives up mastership that was not its: whoever heard that must hear of us
    /// before it takes over.
    pub(super) fn answer_resignation(&mut self, now: Instant, settings: &Settings) -> Reaction {
        let earliest = self.replied_at.map_or(now, |at| at + REPLY_SPACING);
        if now < earliest {
            // Put off and not left out, because others wait for no more than their skew now.
            if earliest < self.advert_at {
                self.advert_at = earliest;
                self.replied_at = Some(earliest);
            }
            return Reaction::default();
        }
        // RFC 9568 6.4.3 MUST: priority 0 is answered at once, and Adver_Timer set again
        self.advert_at = now + settings.interval.duration();
        self.replied_at = Some(now);
        Reaction {
            send: self.advertise(now, settings),
            ..Reaction::default()
        }
    }

    /// Somebody of lower precedence advertises: it has to learn of us, and the neighbours whom it
    /// may have misled have to learn where the addresses are.
    pub(super) fn assert_mastership(&mut self, now: Instant, settings: &Settings) -> Reaction {
        let mut reaction = Reaction {
            second_master: now.since(self.since) >= LAST_WORD,
            ..Reaction::default()
        };
        // RFC 9568 6.4.3 MUST: anything else is discarded and answered at once
        // RFC 5798 6.4.3 MUST: anything else is discarded, and not answered
        // RFC 3768 6.4.3 MUST: anything else is discarded, and not answered
        let spaced = self
            .replied_at
            .is_none_or(|at| now.since(at) >= REPLY_SPACING);
        if settings.version == Version::V3 && spaced {
            self.replied_at = Some(now);
            reaction.send = self.advertise(now, settings);
        }
        if settings.announce.on_lower_priority {
            let earliest = self.announced_at + ANNOUNCE_SPACING;
            if now >= earliest {
                reaction.announce = true;
                self.announced(now);
            } else {
                // Put off and not left out: the other one may have announced them since.
                self.correct_at = Some(earliest);
            }
        }
        reaction
    }

    /// When the addresses are announced next.
    fn announcement(&self) -> Option<Instant> {
        [self.announce_at, self.correct_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// When they are announced next after `now` by the settings: a second time, and again and again.
    fn next_announcement(&self, now: Instant, settings: &Settings) -> Option<Instant> {
        let Announcements { delay, refresh, .. } = settings.announce;
        let second = (!delay.is_zero()).then_some(self.arrived_at + delay);
        let refreshed = (!refresh.is_zero()).then(|| next_due(self.arrived_at, refresh, now));
        let to_come = second.filter(|at| *at > now);
        [to_come, refreshed].into_iter().flatten().min()
    }

    /// The addresses are announced, for whatever reason: nobody is misled any more.
    const fn announced(&mut self, now: Instant) {
        self.announced_at = now;
        self.correct_at = None;
    }

    /// Advertises, unless it is off its network.
    fn advertise(&mut self, now: Instant, settings: &Settings) -> Option<Send> {
        if self.is_away {
            self.missed = true;
            return None;
        }
        self.sent_at = now;
        self.told = settings.interval;
        Some(Send::Advert)
    }
}
