//! Addresses that an administrator adds and deletes by hand.

use vrrp_lab::Moment;
use vrrp_lab::harness::Outcome;

use crate::common::{INTERVAL, LATE, SOON, VIP, assert_rhythm};
use crate::pair::Pair;

pub(crate) fn deleted_address_is_restored_without_transition() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    for time in 1..=3 {
        let deleted = Moment::now();
        pair.a.host.delete_address("ens33", VIP)?;
        let back = pair.a.address_event(VIP, true, deleted)?;
        assert!(
            back.since(deleted) < LATE,
            "restored after {:?}",
            back.since(deleted)
        );
        let announced = pair.lan.announcement(VIP, deleted)?;
        assert_eq!(announced.source(), pair.a.host.mac("ens33")?);
        assert!(announced.at.since(deleted) < LATE);
        a.process()
            .output()
            .wait_for(
                |line| {
                    line.at > deleted
                        && line.text.contains(
                            "VI_1: 192.168.224.100/24 was deleted although this host is master; restored and announced",
                        )
                },
                SOON,
            )
            .ok_or("no log line about the repair")?;
        assert_eq!(a.instance("VI_1")?.counters.repairs, time);
    }
    pair.lan.pass(&pair.a, 6)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    let (a, b) = (a.instance("VI_1")?, b.instance("VI_1")?);
    assert_eq!((a.counters.became_master, b.counters.became_master), (1, 0));
    assert!(pair.a.host.holds(VIP)? && !pair.b.host.holds(VIP)?);
    Ok(())
}

pub(crate) fn backup_deletes_address_added_by_hand() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    for (time, prefix) in [(1, 24), (2, 32)] {
        let added = Moment::now();
        pair.b.host.add_address("ens33", VIP, prefix)?;
        let gone = pair.b.address_event(VIP, false, added)?;
        assert!(
            gone.since(added) < LATE,
            "deleted after {:?}",
            gone.since(added)
        );
        b.process()
            .output()
            .wait_for(
                |line| {
                    line.at > added
                        && line.text.contains(&format!(
                            "VI_1: 192.168.224.100/{prefix} was added although this host is not \
                         master; deleted"
                        ))
                },
                SOON,
            )
            .ok_or_else(|| b.process().log())?;
        assert_eq!(b.instance("VI_1")?.counters.strays, time);
    }
    pair.lan.pass(&pair.a, 6)?;
    assert!(!pair.b.host.holds(VIP)?);
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    assert_eq!(a.instance("VI_1")?.counters.repairs, 0);
    Ok(())
}
