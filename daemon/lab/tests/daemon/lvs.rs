//! The IPVS sync daemon where the kernel has none, or only offers it to the initial user namespace, as on a
//! host of the lab (unless root starts the lab on a machine with IPVS). Its further behaviour is tested in
//! virtual machines (vm-tests/lvs.py).

use serde_json::json;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_proto::LvsRole;
use vrrp_proto::State::Master;

use crate::common::{SOON, instance, only, with};
use crate::pair::{HIGH, Pair};

pub(crate) fn master_serves_without_working_ipvs_sync_daemon() -> Outcome {
    let pair = Pair::new()?;
    let config = only(with(instance(HIGH), json!({ "lvsSyncInterface": "ens33" })));
    let a = Vrrpd::start(&pair.a.host, &config)?;
    let is_logged = |line: &str| line.contains("IPVS sync daemon");
    let first = a.process().wait_for_line(is_logged, SOON)?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let lvs = a.instance("VI_1")?.lvs.ok_or("no lvs in the status")?;
    assert_eq!(
        (&*lvs.interface, lvs.role),
        ("ens33", Some(LvsRole::Master))
    );
    assert!(a.stop()?.success());
    let Some(error) = lvs.error else {
        assert!(
            first
                .text
                .contains("start the IPVS sync daemon as backup on ens33")
        );
        return Ok(());
    };
    assert!(first.text.contains(&*error), "{}", first.text);
    assert!(
        first
            .text
            .contains("the instance works without connection synchronisation"),
        "{}",
        first.text
    );
    // Started as backup and as master, but logged once.
    let logged = a.process().output().entries();
    let logged = logged.iter().filter(|line| is_logged(&line.text)).count();
    assert_eq!(logged, 1, "{}", a.process().log());
    Ok(())
}
