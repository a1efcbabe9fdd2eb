//! The same configuration for both daemons.

use std::time::Duration;

use serde_json::json;

use crate::common::{instance, tracked, tshark, tshark::Checksum, with};

/// The course's configuration of the backup, verbatim except for `lvs_sync_daemon_interface`, which needs
/// IPVS.
const COURSE: &str = r#"global_defs {
   router_id LVS_DEVEL
}

vrrp_script httpd_check {
    script "/usr/local/httpd.sh"
    interval 2
}

vrrp_instance VI_1 {
    state BACKUP
    interface ens33
    virtual_router_id 51
    priority 99
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    track_script {
    httpd_check
    }
    virtual_ipaddress {
    192.168.224.100/24
    }
}
"#;

/// Configuration for version 3, which has no password, with a shorter interval.
const VERSION_3: &str = r#"global_defs {
   router_id LVS_DEVEL
   vrrp_version 3
}

vrrp_script httpd_check {
    script "/usr/local/httpd.sh"
    interval 2
}

vrrp_instance VI_1 {
    state BACKUP
    interface ens33
    virtual_router_id 51
    priority 99
    advert_int 0.2
    track_script {
    httpd_check
    }
    virtual_ipaddress {
    192.168.224.100/24
    }
}
"#;

/// Protocol variant that the two daemons use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Version 2 with PASS.
    Two,
    /// Version 3; the checksum covers the pseudo-header.
    Three,
    /// Version 3; the checksum covers the message only.
    ThreeMessageOnly,
}

impl Dialect {
    pub(crate) const fn interval(self) -> Duration {
        match self {
            Self::Two => Duration::from_secs(1),
            Self::Three | Self::ThreeMessageOnly => Duration::from_millis(200),
        }
    }

    pub(crate) fn skew(self, priority: u8) -> Duration {
        let unit = match self {
            Self::Two => Duration::from_secs(1),
            Self::Three | Self::ThreeMessageOnly => self.interval(),
        };
        unit * (256 - u32::from(priority)) / 256
    }

    pub(crate) fn down_interval(self, priority: u8) -> Duration {
        self.interval() * 3 + self.skew(priority)
    }

    /// Properties that tshark should find in the advertisements.
    pub(crate) fn expected(self) -> tshark::Expected {
        tshark::Expected {
            version: if self == Self::Two { 2 } else { 3 },
            checksums: match self {
                Self::Two | Self::Three => &[Checksum::WithPseudoHeader],
                Self::ThreeMessageOnly => &[Checksum::WithPseudoHeader, Checksum::MessageOnly],
            },
        }
    }

    /// Form of vrrpd's checksums after it has received an advertisement. Until then it covers the
    /// pseudo-header in version 3.
    pub(crate) fn adopted(self) -> Checksum {
        match self {
            Self::Two | Self::Three => Checksum::WithPseudoHeader,
            Self::ThreeMessageOnly => Checksum::MessageOnly,
        }
    }

    /// keepalived's configuration; with BACKUP and 99 it is the course's own.
    pub(crate) fn keepalived(self, state: &str, priority: u8) -> String {
        let text = match self {
            Self::Two => COURSE.to_owned(),
            Self::Three => VERSION_3.to_owned(),
            Self::ThreeMessageOnly => {
                VERSION_3.replace("track_script", "v3_checksum_as_v2\n    track_script")
            }
        };
        text.replace("state BACKUP", &format!("state {state}"))
            .replace("priority 99", &format!("priority {priority}"))
    }

    /// Configuration of vrrpd.
    pub(crate) fn ours(self, state: &str, priority: u8) -> String {
        let common = with(
            instance(priority),
            json!({
                "state": state,
                "advertInterval": self.interval().as_secs_f64(),
                "track": ["httpd_check"],
            }),
        );
        let whole = match self {
            Self::Two => with(
                common,
                json!({
                    "version": 2,
                    "authentication": { "pass": { "password": "1111" } },
                }),
            ),
            Self::Three | Self::ThreeMessageOnly => common,
        };
        let script = json!({ "command": ["/usr/local/httpd.sh"], "interval": 2 });
        tracked(
            json!({ "httpd_check": { "script": script } }),
            json!({ "VI_1": whole }),
        )
    }
}
