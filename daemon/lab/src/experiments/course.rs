//! What the course gives: the hosts' configurations, the check script, and how long the protocol
//! lets a client wait with them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::{Result, exe};

/// One virtual router with its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance {
    pub(crate) name: &'static str,
    pub(crate) interface: &'static str,
    pub(crate) vip: IpAddr,
    vrid: u8,
    /// Whether it follows the check script.
    checked: bool,
    /// Of the master and the backup.
    priorities: [u8; 2],
}

pub(crate) const VI_1: Instance = Instance {
    name: "VI_1",
    interface: "ens33",
    vip: IpAddr::V4(Ipv4Addr::new(192, 168, 224, 100)),
    vrid: 51,
    checked: true,
    priorities: [100, 99],
};

pub(crate) const VI_2: Instance = Instance {
    name: "VI_2",
    interface: "ens37",
    vip: IpAddr::V4(Ipv4Addr::new(192, 168, 198, 100)),
    vrid: 52,
    checked: false,
    priorities: [100, 100],
};

/// The two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Master,
    Backup,
}

impl Who {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
        }
    }

    /// Its own address on the network of an instance: .11 and .12.
    pub(crate) fn address(self, instance: &Instance) -> String {
        let last = match self {
            Self::Master => 11,
            Self::Backup => 12,
        };
        let IpAddr::V4(vip) = instance.vip else {
            return String::new();
        };
        let [a, b, c, _] = vip.octets();
        format!("{a}.{b}.{c}.{last}/24")
    }
}

const ADVERT_INTERVAL: Duration = Duration::from_secs(1);
/// How often the check script runs.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(2);

impl Instance {
    /// How long a host waits when it is told that the master leaves (RFC 3768 section 6.1; in
    /// version 2 the unit is a second whatever the interval).
    pub(crate) fn skew(&self, who: Who) -> Duration {
        Duration::from_secs(1) * (256 - u32::from(self.priority(who))) / 256
    }

    /// How long a host waits when the master falls silent.
    pub(crate) fn master_down(&self, who: Who) -> Duration {
        3 * ADVERT_INTERVAL + self.skew(who)
    }

    /// How long a host with `"state": "master"` listens at its start.
    pub(crate) fn first_listening(&self) -> Duration {
        ADVERT_INTERVAL + self.skew(Who::Master)
    }

    pub(crate) const fn priority(&self, who: Who) -> u8 {
        match who {
            Who::Master => self.priorities[0],
            Who::Backup => self.priorities[1],
        }
    }

    fn json(&self, who: Who) -> Value {
        let mut instance = json!({
            "state": who.name(),
            "interface": self.interface,
            "virtualRouterId": self.vrid,
            "priority": self.priority(who),
            "version": 2,
            "advertInterval": ADVERT_INTERVAL.as_secs(),
            "authentication": { "pass": { "password": "1111" } },
            "virtualAddresses": [format!("{}/24", self.vip)],
        });
        if self.checked {
            instance["track"] = json!(["httpd_check"]);
        }
        instance
    }
}

/// The configuration of a host.
pub(crate) fn configuration(who: Who, instances: &[Instance]) -> String {
    let routers: serde_json::Map<_, _> = instances
        .iter()
        .map(|instance| (instance.name.to_owned(), instance.json(who)))
        .collect();
    let script = json!({ "command": [CHECK], "interval": CHECK_INTERVAL.as_secs() });
    let whole =
        json!({ "trackers": { "httpd_check": { "script": script } }, "instances": routers });
    format!("{whole:#}\n")
}

/// The check script, and what stands for `systemctl start httpd` in it.
pub(crate) const CHECK: &str = "/usr/local/httpd.sh";
pub(crate) const START_HTTPD: &str = "/usr/local/start-httpd.sh";
pub(crate) const HTTPD_PID: &str = "/var/run/httpd/httpd.pid";

pub(crate) fn check_script() -> String {
    format!("#!/bin/sh\n\nif [ ! -e {HTTPD_PID} ]; then\n    {START_HTTPD}\nfi\n")
}

pub(crate) fn start_httpd_script(who: Who) -> Result<String> {
    Ok(format!(
        "#!/bin/sh\nexec '{}' __httpd --daemon --name {} --pid-file {HTTPD_PID} --listen 0.0.0.0:80\n",
        exe()?.display(),
        who.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_those_of_the_course() {
        let millis = |span: Duration| span.as_millis();
        assert_eq!(millis(VI_1.skew(Who::Backup)), 613);
        assert_eq!(millis(VI_1.master_down(Who::Backup)), 3613);
        assert_eq!(millis(VI_1.first_listening()), 1609);
        assert_eq!(millis(VI_2.master_down(Who::Backup)), 3609);
    }
}
