//! Configurations and check script of the course, and the resulting limits of the protocol for an
//! outage of the client.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::{Result, exe};
use vrrp_proto::{AdvertInterval, Priority, Version};

/// One virtual router with its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance {
    pub(crate) name: &'static str,
    pub(crate) interface: &'static str,
    pub(crate) vip: IpAddr,
    pub(crate) vrid: u8,
    /// Whether it tracks the check script.
    checked: bool,
    /// Priorities of master and backup.
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

/// The two hosts, named by their role in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Master,
    Backup,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
        }
    }

    /// Configured address of the host on the network of an instance: .11 and .12.
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

const INTERVAL: AdvertInterval = AdvertInterval::DEFAULT;
/// Interval of the check script.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(2);

impl Instance {
    /// Skew time of a host, which it waits after the master's final advertisement.
    pub(crate) fn skew(&self, role: Role) -> Duration {
        INTERVAL.skew_time(Version::V2, self.vrrp_priority(role))
    }

    /// Master down interval of a host, which it waits after the master becomes silent.
    pub(crate) fn master_down(&self, role: Role) -> Duration {
        INTERVAL.master_down_interval(Version::V2, self.vrrp_priority(role))
    }

    /// Startup delay of a host with `"state": "master"`, in which it listens before it becomes
    /// master.
    pub(crate) fn first_listening(&self) -> Duration {
        INTERVAL.duration() + self.skew(Role::Master)
    }

    pub(crate) const fn priority(&self, role: Role) -> u8 {
        match role {
            Role::Master => self.priorities[0],
            Role::Backup => self.priorities[1],
        }
    }

    fn vrrp_priority(&self, role: Role) -> Priority {
        Priority::new(self.priority(role)).unwrap_or(Priority::DEFAULT)
    }

    fn json(&self, role: Role) -> Value {
        let mut instance = json!({
            "state": role.name(),
            "interface": self.interface,
            "virtualRouterId": self.vrid,
            "priority": self.priority(role),
            "version": 2,
            "advertInterval": INTERVAL.duration().as_secs(),
            "authentication": { "pass": { "password": "1111" } },
            "virtualAddresses": [format!("{}/24", self.vip)],
        });
        if self.checked {
            instance["track"] = json!(["httpd_check"]);
        }
        instance
    }
}

/// Builds the configuration of a host.
pub(crate) fn configuration(role: Role, instances: &[Instance]) -> String {
    let routers: serde_json::Map<_, _> = instances
        .iter()
        .map(|instance| (instance.name.to_owned(), instance.json(role)))
        .collect();
    let script = json!({ "command": [CHECK], "interval": CHECK_INTERVAL.as_secs() });
    let whole =
        json!({ "trackers": { "httpd_check": { "script": script } }, "instances": routers });
    format!("{whole:#}\n")
}

/// Path of the check script, and of the script that replaces `systemctl start httpd` in it.
pub(crate) const CHECK: &str = "/usr/local/httpd.sh";
pub(crate) const START_HTTPD: &str = "/usr/local/start-httpd.sh";
pub(crate) const HTTPD_PID: &str = "/var/run/httpd/httpd.pid";

pub(crate) fn check_script() -> String {
    format!("#!/bin/sh\n\nif [ ! -e {HTTPD_PID} ]; then\n    {START_HTTPD}\nfi\n")
}

pub(crate) fn start_httpd_script(role: Role) -> Result<String> {
    Ok(format!(
        "#!/bin/sh\nexec '{}' __httpd --daemon --name {} --pid-file {HTTPD_PID} --listen 0.0.0.0:80\n",
        exe()?.display(),
        role.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_match_configurations_of_course() {
        let millis = |span: Duration| span.as_millis();
        assert_eq!(millis(VI_1.skew(Role::Backup)), 613);
        assert_eq!(millis(VI_1.master_down(Role::Backup)), 3613);
        assert_eq!(millis(VI_1.first_listening()), 1609);
        assert_eq!(millis(VI_2.master_down(Role::Backup)), 3609);
    }
}
