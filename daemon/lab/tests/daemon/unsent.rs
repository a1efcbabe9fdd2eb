//! Advertisements that a firewall of the own host drops on their way out.

use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Result};
use vrrp_proto::State::{Backup, Master};

use crate::common::{SOON, VIP, instance, only};
use crate::pair::{HIGH, LOW, Pair};

fn drop_output(host: &Host) -> Result<()> {
    host.shell(
        "nft 'add table inet dropping' && \
         nft 'add chain inet dropping out { type filter hook output priority 0; }' && \
         nft 'add rule inet dropping out meta l4proto 112 drop'",
    )?;
    Ok(())
}

fn pass_output(host: &Host) -> Result<()> {
    host.shell("nft delete table inet dropping")?;
    Ok(())
}

pub(crate) fn master_that_cannot_send_yields_to_the_next_one() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let dropped = Moment::now();
    drop_output(&pair.a.host)?;
    b.wait_for("VI_1", Backup, Master, dropped, SOON)?;
    a.wait_for("VI_1", Master, Backup, dropped, SOON)?;
    let line = "a firewall rule of this host drops VRRP (protocol 112) in its output";
    a.process()
        .wait_for_line(|said| said.contains(line), SOON)?;
    let status = a.instance("VI_1")?;
    assert!(
        status.unsent[0].error.contains("not permitted"),
        "{status:?}"
    );
    assert!(status.counters.adverts_unsent > 0, "{status:?}");
    let yielded = Moment::now();
    pair.lan.pass(&pair.b, 10)?;
    assert_eq!(a.instance("VI_1")?.state, Backup, "no preemption");
    assert!(pair.b.host.holds(VIP)? && !pair.a.host.holds(VIP)?);

    // It still protects the service.
    pair.b.host.power_off()?;
    a.wait_for("VI_1", Backup, Master, yielded, SOON)?;
    assert!(pair.a.host.holds(VIP)?);
    pass_output(&pair.a.host)?;
    pair.lan.pass(&pair.a, 2)?;
    assert_eq!(a.instance("VI_1")?.unsent, []);
    Ok(())
}

pub(crate) fn preemption_that_cannot_be_sent_is_not_noticed_by_neighbours() -> Outcome {
    let pair = Pair::new()?;
    let b = Vrrpd::start(&pair.b.host, &only(instance(LOW)))?;
    b.wait_for_state("VI_1", Master, SOON)?;
    pair.lan.settle(VIP)?;
    drop_output(&pair.a.host)?;
    let started = Moment::now();
    let a = Vrrpd::start(&pair.a.host, &only(instance(HIGH)))?;
    a.wait_for("VI_1", Master, Backup, started, SOON)?;
    pair.lan.pass(&pair.b, 10)?;
    let announced = pair.lan.announcements(VIP, started);
    assert_eq!(announced, [], "the neighbours still know b");
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    assert_eq!(b.instance("VI_1")?.counters.second_masters, 0);

    pass_output(&pair.a.host)?;
    pair.lan.pass(&pair.b, 3)?;
    assert_eq!(a.instance("VI_1")?.state, Backup, "not before a reload");
    let reloaded = Moment::now();
    a.reload(&only(instance(HIGH)))?;
    a.wait_for("VI_1", Backup, Master, reloaded, SOON)?;
    b.wait_for("VI_1", Master, Backup, reloaded, SOON)?;
    Ok(())
}
