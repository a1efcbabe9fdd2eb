//! The sync thread of IPVS where the kernel has none, or gives it to the initial user namespace alone: a
//! host of the lab is such a place, unless root starts it where IPVS is loaded. What else there is to
//! know of it is shown in virtual machines (vm-tests/lvs.py).

use serde_json::json;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_proto::LvsRole;
use vrrp_proto::State::Master;

use crate::common::{SOON, instance, only, with};
use crate::pair::{HIGH, Pair};

pub(crate) fn a_master_serves_whether_or_not_its_connections_can_be_synchronised() -> Outcome {
    let pair = Pair::new()?;
    let config = only(with(instance(HIGH), json!({ "lvsSyncInterface": "ens33" })));
    let a = Vrrpd::start(&pair.a.host, &config)?;
    let is_told = |line: &str| line.contains(" of IPVS");
    let first = a.process().wait_for_line(is_told, SOON)?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let lvs = a.instance("VI_1")?.lvs.ok_or("no status of it")?;
    assert_eq!(
        (&*lvs.interface, lvs.role),
        ("ens33", Some(LvsRole::Master))
    );
    assert!(a.stop()?.success());
    let Some(error) = lvs.error else {
        assert!(
            first
                .text
                .contains("start the sync thread of IPVS as backup on ens33")
        );
        return Ok(());
    };
    assert!(first.text.contains(&*error), "{}", first.text);
    assert!(
        first.text.contains("the instance serves all the same"),
        "{}",
        first.text
    );
    // It was tried as backup and as master.
    let told = a.process().output().entries();
    let told = told.iter().filter(|line| is_told(&line.text)).count();
    assert_eq!(told, 1, "{}", a.process().log());
    Ok(())
}
