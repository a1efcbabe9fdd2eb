//! Two hosts connected by a cable: network namespaces with a veth pair, each end named `eth0`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{getegid, geteuid};
use vrrp_proto::{InterfaceAddress, InterfaceIndex};

/// A network namespace.
pub(crate) struct Host {
    namespace: File,
}

/// Gives this process all capabilities over the namespaces that it creates from now on.
pub(crate) fn become_root_of_a_user_namespace() -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    Ok(())
}

/// Creates two hosts, the first with 10.0.0.1/24 and the second with 10.0.0.2/24.
pub(crate) fn pair() -> (Host, Host) {
    let (near, far) = (Host::new(), Host::new());
    near.within(|| {
        let far = far.path();
        ip(&format!(
            "link add eth0 type veth peer name eth0 netns {far}"
        ));
    });
    for (host, address) in [(&near, "10.0.0.1/24"), (&far, "10.0.0.2/24")] {
        host.ip("link set lo up");
        host.ip("link set eth0 up");
        host.ip(&format!("address add {address} dev eth0"));
    }
    [&near, &far].into_iter().for_each(Host::wait_for_carrier);
    (near, far)
}

/// As [`pair`]; also gives the first host fe80::1 and 2001:db8::1/64 and the second fe80::2 and
/// 2001:db8::2/64, usable at once.
pub(crate) fn pair_v6() -> (Host, Host) {
    let (near, far) = pair();
    for (host, last) in [(&near, 1), (&far, 2)] {
        // The kernel's own link-local addresses would be added later, after duplicate address
        // detection.
        host.ip("link set eth0 addrgenmode none");
        host.ip("-6 address flush dev eth0");
        host.ip(&format!("address add fe80::{last}/64 dev eth0 nodad"));
        host.ip(&format!("address add 2001:db8::{last}/64 dev eth0 nodad"));
    }
    (near, far)
}

impl Host {
    fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let namespace = File::open("/proc/thread-self/ns/net").unwrap();
        Self { namespace }
    }

    /// Runs `inside` in the namespace. Sockets that it opens stay there.
    pub(crate) fn within<T>(&self, inside: impl FnOnce() -> T) -> T {
        setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
        inside()
    }

    /// Path by which another thread of this process may enter the namespace.
    pub(crate) fn path(&self) -> String {
        let descriptor = self.namespace.as_raw_fd();
        format!("/proc/{}/fd/{descriptor}", std::process::id())
    }

    /// Runs `ip` of iproute2 in the namespace.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        self.within(|| ip(arguments))
    }

    /// Index of `eth0`.
    pub(crate) fn eth0(&self) -> InterfaceIndex {
        InterfaceIndex(self.within(|| nix::net::if_::if_nametoindex("eth0").unwrap()))
    }

    /// Waits until `eth0` can send. The kernel sets up its queue asynchronously, and drops packets
    /// before that.
    pub(crate) fn wait_for_carrier(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.ip("link show dev eth0").contains("state UP") {
            assert!(Instant::now() < deadline, "eth0 did not come up");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sets a number of ip-sysctl, such as `ipv6/conf/eth0/forwarding`.
    pub(crate) fn sysctl(&self, name: &str, value: u8) {
        self.within(|| fs::write(format!("/proc/sys/net/{name}"), value.to_string()).unwrap());
    }

    /// Contents of a file in /proc/net of this namespace, such as `igmp6`.
    pub(crate) fn proc_net(&self, name: &str) -> String {
        self.within(|| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap())
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn address(text: &str) -> InterfaceAddress {
    text.parse().unwrap()
}
