//! HMAC authentication between vrrpd and keepalived (`auth_hmac` of keepalived 2.4.2 and later), in both
//! versions and families.

use serde_json::{Value, json};
use vrrp_lab::daemons::{Keepalived, Vrrpd};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Moment, Signal};
use vrrp_proto::State::{Backup, Init, Master};

use crate::common::{Lan, SOON, instance, only, with};

/// Key of 32 bytes, in a form that both daemons accept.
const KEY: &str = "hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Priorities of vrrpd as master and as backup, and of keepalived between them.
const LEADER: u8 = 200;
const FOLLOWER: u8 = 50;
const KEEPALIVED: u8 = 100;

/// Version and family that the two daemons use.
#[derive(Clone, Copy)]
struct Speech {
    version: u8,
    interval: f64,
    /// Virtual addresses, in the order in which both daemons list them.
    addresses: &'static [&'static str],
}

pub(crate) fn both_sign_in_version_2() -> Outcome {
    understand(Speech {
        version: 2,
        interval: 1.0,
        addresses: &["192.168.224.100/24"],
    })
}

pub(crate) fn both_sign_in_version_3() -> Outcome {
    understand(Speech {
        version: 3,
        interval: 0.2,
        addresses: &["192.168.224.100/24"],
    })
}

pub(crate) fn both_sign_over_ipv6() -> Outcome {
    understand(Speech {
        version: 3,
        interval: 0.2,
        addresses: &["fe80::100/64", "fd00:224::100/64"],
    })
}

/// Asserts that each daemon accepts the other's signature: vrrpd is master and keepalived its backup; vrrpd
/// dies, and keepalived becomes master; vrrpd returns as a backup.
fn understand(speech: Speech) -> Outcome {
    let lan = Lan::new()?;
    let (ours, theirs) = (lan.station("ours", 11)?, lan.station("theirs", 12)?);
    let first = Vrrpd::start(&ours.host, &speech.ours(LEADER))?;
    first.wait_for_state("VI_1", Master, SOON)?;
    let keepalived = Keepalived::start(&theirs.host, &speech.keepalived())?;
    keepalived.wait_for("VI_1", "BACKUP", Moment::default(), SOON)?;
    // More intervals than a backup waits without a valid advertisement.
    lan.pass_of(8, |advert| advert.priority == LEADER)?;
    let log = keepalived.process().log();
    assert!(!log.contains("Entering MASTER STATE"), "{log}");

    let died = Moment::now();
    first.process().kill(Signal::SIGKILL)?;
    first.process().wait(SOON)?;
    keepalived.wait_for("VI_1", "MASTER", died, SOON)?;
    drop(first);

    let back = Moment::now();
    let second = Vrrpd::start(&ours.host, &speech.ours(FOLLOWER))?;
    second.wait_for("VI_1", Init, Backup, back, SOON)?;
    lan.pass_of(8, |advert| advert.priority == KEEPALIVED)?;
    let status = second.instance("VI_1")?;
    assert_eq!(status.state, Backup, "{}", second.process().log());
    let counters = status.counters;
    assert!(counters.adverts_received > 3, "{counters:?}");
    assert_eq!(
        (counters.dropped.total(), counters.adverts_without_hmac),
        (0, 0)
    );
    let hmac = status.hmac.ok_or("no hmac in the status")?;
    assert_eq!(hmac.senders.len(), 1, "{hmac:?}");
    assert!(hmac.senders[0].ahead.abs() <= 1, "{hmac:?}");

    // keepalived stops in order, and vrrpd accepts its resignation and takes over after the skew time.
    assert!(keepalived.stop()?.success());
    second.wait_for("VI_1", Backup, Master, back, SOON)?;
    let resigned = second.instance("VI_1")?.counters.resignations_received;
    assert_eq!(resigned, 1);
    Ok(())
}

impl Speech {
    fn ours(self, priority: u8) -> String {
        let more = json!({
            "version": self.version,
            "advertInterval": self.interval,
            "virtualAddresses": self.addresses,
            "authentication": { "hmac": { "keys": { "1": { "key": KEY } } } },
        });
        let instance: Value = with(instance(priority), more);
        only(instance)
    }

    fn keepalived(self) -> String {
        format!(
            "global_defs {{
    router_id LVS_DEVEL
    vrrp_version {}
}}

vrrp_instance VI_1 {{
    state BACKUP
    interface ens33
    virtual_router_id 51
    priority {KEEPALIVED}
    advert_int {}
    auth_hmac {{
        key 1 {KEY}
        active_key 1
    }}
    virtual_ipaddress {{
        {}
    }}
}}
",
            self.version,
            self.interval,
            self.addresses.join("\n        ")
        )
    }
}
