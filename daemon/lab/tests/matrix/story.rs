//! Steps of a cell.

use std::time::Duration;

use vrrp_lab::harness::Outcome;
use vrrp_lab::{Impairment, Moment};

use crate::cell::{Cast, Cell, Who};
use crate::common::{LATE, assert_waited};
use crate::configuration::CARD;
use crate::fixture::{Daemon, Fixture};

/// Priority of the leader; `LOWER` is that of the follower.
const GREATER: u8 = 250;
const LOWER: u8 = 200;

/// Runs all steps of a cell. The leader has the higher priority and the greater address.
pub(crate) fn tell(cell: &Cell) -> Outcome {
    let fixture = Fixture::new(cell)?;
    let (leader, follower) = (cell.leader, cell.leader.other());
    let begun = Moment::now();
    let first = fixture.start(leader, GREATER)?;
    let other = fixture.start(follower, LOWER)?;
    fixture.converge_for_clients(leader, begun)?;

    lower_priority(&fixture)?;
    fixture.assert_content(&first)?;
    let second = death_and_return(&fixture, first)?;
    hand_over(&fixture, second)?;
    tie(&fixture, &other)?;

    fixture.assert_content(&other)?;
    fixture.assert_addressed()?;
    fixture.assert_dissected()?;
    Ok(())
}

/// Cuts the follower off from the leader's advertisements, so that it advertises its lower priority: the
/// leader answers at once or not at all, as its protocol version requires. Both converge afterwards.
fn lower_priority(fixture: &Fixture<'_>) -> Outcome {
    let cell = fixture.cell;
    let (leader, follower) = (fixture.side(cell.leader), fixture.side(cell.leader.other()));
    if cell.cast == Cast::Unicast {
        // A host that receives nothing can send only to a neighbour that it has an entry for.
        let mac = leader.host.mac(CARD)?;
        follower.host.add_neighbour(CARD, leader.address, mac)?;
    }
    let since = Moment::now();
    follower.cable.set(Impairment::deaf())?;
    let mut last = follower.advert_after(since)?;
    for _ in 0..3 {
        last = follower.advert_after(last.at)?;
    }
    let healed = Moment::now();
    follower.cable.set(Impairment::default())?;
    // The follower advertises a skew time after the leader, long before the leader's next advertisement: so
    // the median of the delays shows whether the leader answers, even on a busy machine.
    let answers = leader.adverts_after(since);
    let provoked = follower.adverts_after(since);
    let provoked = provoked.iter().filter(|advert| advert.at < last.at);
    let mut delays: Vec<Duration> = provoked
        .filter_map(|advert| {
            let answer = answers.iter().find(|answer| answer.at > advert.at)?;
            Some(answer.at.since(advert.at))
        })
        .collect();
    assert!(delays.len() >= 3, "{delays:?}");
    delays.sort();
    let answered = delays[delays.len() / 2] < cell.dialect.interval() / 5;
    assert_eq!(
        answered,
        cell.answers_lower_priority(cell.leader),
        "whether {:?} answers a lower priority at once: after {delays:?}",
        cell.leader
    );
    fixture.converge_after_two(cell.leader, healed)?;
    Ok(())
}

/// Powers the leader's host off: the follower takes over in time, and yields when the leader is back.
fn death_and_return<'s>(
    fixture: &'s Fixture<'_>,
    first: Daemon<'s>,
) -> Result<Daemon<'s>, vrrp_lab::Error> {
    let cell = fixture.cell;
    let (leader, follower) = (cell.leader, cell.leader.other());
    let died = Moment::now();
    fixture.side(leader).host.power_off()?;
    drop(first);
    let last = fixture.side(leader).last_advert()?;
    let takeover = fixture.side(follower).advert_after(died)?;
    let bound = cell.dialect.down_interval(LOWER);
    match follower {
        Who::Ours => assert_waited(last.at, takeover.at, bound),
        Who::Theirs => {
            let silence = takeover.at.since(last.at);
            assert!(silence < bound + LATE, "take-over after {silence:?}");
        }
    }
    fixture.converge_for_clients(follower, died)?;

    fixture.side(leader).host.power_on()?;
    let back = Moment::now();
    let second = fixture.start(leader, GREATER)?;
    fixture.converge_for_clients(leader, back)?;
    Ok(second)
}

/// Stops the leader in order: the follower takes over after the skew time. Ours serves the clients until then.
fn hand_over(fixture: &Fixture<'_>, second: Daemon<'_>) -> Outcome {
    let cell = fixture.cell;
    let (leader, follower) = (cell.leader, cell.leader.other());
    fixture.assert_content(&second)?;
    let client = match leader {
        Who::Ours => fixture.client.ask()?,
        Who::Theirs => None,
    };
    let stopped = Moment::now();
    second.stop()?;
    drop(second);
    let resigned = fixture.side(leader).resignation_after(stopped)?;
    let takeover = fixture.side(follower).advert_after(stopped)?;
    let skew = cell.dialect.skew(LOWER);
    match follower {
        Who::Ours => assert_waited(resigned.at, takeover.at, skew),
        Who::Theirs => {
            let waited = takeover.at.since(resigned.at);
            assert!(waited < skew + LATE, "take-over after {waited:?}");
        }
    }
    fixture.converge_for_clients(follower, stopped)?;
    if let Some(client) = client {
        let outage = client.stop()?.outage();
        assert!(outage < skew, "a client had no answer for {outage:?}");
    }
    Ok(())
}

/// Starts the leader with the follower's priority, without contact until both are masters: the greater
/// address decides.
fn tie(fixture: &Fixture<'_>, other: &Daemon<'_>) -> Outcome {
    let leader = fixture.cell.leader;
    let cable = &fixture.side(leader).cable;
    cable.set(Impairment::cut())?;
    let begun = Moment::now();
    let third = fixture.start(leader, LOWER)?;
    // Wait for the second advertisement, when the announcements of the new master are complete.
    let first = fixture.side(leader).advert_after(begun)?;
    fixture.side(leader).advert_after(first.at)?;
    let joined = Moment::now();
    cable.set(Impairment::default())?;
    fixture
        .converge_after_two(leader, joined)
        .map_err(|error| format!("{error}\n{}\n{}", third.log(), other.log()))?;
    fixture.assert_content(&third)?;
    Ok(())
}
