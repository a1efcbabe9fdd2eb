use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use vrrp_proto::LvsRole;

use super::codec::kernel;
use super::*;
use crate::netlink::Message;

const ETH1: Option<InterfaceIndex> = Some(InterfaceIndex(2));

#[test]
fn sync_daemon_is_started_changed_and_stopped() {
    let (mut keeper, kernel) = keeper(&["eth1"]);
    let kept = keeper.keep(&desired(Some(LvsRole::Backup)));
    assert_eq!(
        texts(&kept),
        ["start the IPVS sync daemon as backup on eth1 (syncId 51)"]
    );
    assert_eq!(kernel.shows(), [(LvsRole::Backup, sync())]);
    let kept = keeper.keep(&desired(Some(LvsRole::Master)));
    assert_eq!(
        texts(&kept),
        [
            "start the IPVS sync daemon as master on eth1 (syncId 51)",
            "stop the IPVS sync daemon of role backup",
        ]
    );
    assert!(!kept.is_repair);
    assert_eq!(kernel.shows(), [(LvsRole::Master, sync())]);
    let kept = keeper.keep(&desired(None));
    assert_eq!(texts(&kept), ["stop the IPVS sync daemon of role master"]);
    assert_eq!(kernel.shows(), []);
}

#[test]
fn reconciling_the_desired_state_changes_nothing() {
    let (mut keeper, kernel) = keeper(&["eth1"]);
    keeper.keep(&desired(Some(LvsRole::Master)));
    let kept = keeper.keep(&desired(Some(LvsRole::Master)));
    assert_eq!((texts(&kept).len(), kept.is_repair), (0, false));
    assert!(kept.failure.is_none());
    assert_eq!(kernel.shows(), [(LvsRole::Master, sync())]);
}

#[test]
fn stopped_sync_daemon_is_restarted_as_a_repair() {
    let (mut keeper, kernel) = keeper(&["eth1"]);
    keeper.keep(&desired(Some(LvsRole::Master)));
    kernel.0.lock().unwrap().threads.clear();
    let kept = keeper.keep(&desired(Some(LvsRole::Master)));
    assert!(kept.is_repair);
    assert_eq!(kernel.shows(), [(LvsRole::Master, sync())]);
}

#[test]
fn missing_interface_fails_until_it_appears() {
    let (mut keeper, kernel) = keeper(&[]);
    let desired = desired(Some(LvsRole::Backup));
    let failure = keeper.keep(&desired).failure.unwrap();
    assert_eq!(
        failure.to_string(),
        "cannot start the IPVS sync daemon as backup on eth1 (syncId 51): No such device (os error \
         19): there is no interface eth1 (yet)"
    );
    // The error is the same without an interface index, and a sync daemon on a former interface is
    // stopped.
    kernel.0.lock().unwrap().threads.push(Shown {
        role: LvsRole::Backup,
        sync: sync(),
    });
    let nowhere = DesiredLvs {
        on: None,
        ..desired.clone()
    };
    let kept = keeper.keep(&nowhere);
    assert_eq!(kept.failure.unwrap().to_string(), failure.to_string());
    assert_eq!(kernel.shows(), []);
    kernel.0.lock().unwrap().interfaces.push("eth1".to_owned());
    let kept = keeper.keep(&desired);
    assert!(kept.failure.is_none() && !kept.is_repair);
    assert_eq!(kernel.shows(), [(LvsRole::Backup, sync())]);
}

#[test]
fn missing_ipvs_names_the_remedy_until_loaded() {
    let (mut keeper, kernel) = keeper(&["eth1"]);
    kernel.0.lock().unwrap().family = None;
    let failure = keeper
        .keep(&desired(Some(LvsRole::Backup)))
        .failure
        .unwrap();
    assert!(failure.is_absence());
    assert_eq!(
        failure.to_string(),
        "cannot list the IPVS sync daemons: No such file or directory (os error 2): \
         this kernel has no IPVS: run `modprobe ip_vs`, and load it at every boot by a file in \
         /etc/modules-load.d, or leave \"lvsSyncInterface\" out"
    );
    // No sync daemon is desired, and there is none.
    assert!(keeper.keep(&desired(None)).failure.is_none());
    // The kernel may assign any number to the family.
    for family in [33, 34] {
        kernel.0.lock().unwrap().family = Some(family);
        kernel.0.lock().unwrap().threads.clear();
        assert!(
            keeper
                .keep(&desired(Some(LvsRole::Backup)))
                .failure
                .is_none()
        );
        assert_eq!(kernel.shows(), [(LvsRole::Backup, sync())]);
    }
}

#[test]
fn sync_error_text_names_the_remedy() {
    let text = |errno| {
        let change = Some(Change::Start(LvsRole::Master, sync().into()));
        let error = io::Error::from_raw_os_error(errno);
        CannotSync { change, error }.to_string()
    };
    let start = "cannot start the IPVS sync daemon as master on eth1 (syncId 51): ";
    assert_eq!(
        text(libc::EPERM),
        format!(
            "{start}Operation not permitted (os error 1): IPVS requires CAP_NET_ADMIN of the initial \
             user namespace, which a container lacks"
        )
    );
    assert_eq!(
        text(libc::EADDRNOTAVAIL),
        format!(
            "{start}Cannot assign requested address (os error 99): the interface eth1 must be up and have \
             an address"
        )
    );
    assert_eq!(
        text(libc::ENETUNREACH),
        format!(
            "{start}Network is unreachable (os error 101): the interface eth1 must be up and have an \
             address"
        )
    );
    assert_eq!(
        text(libc::EINVAL),
        format!(
            "{start}Invalid argument (os error 22): IPVS cannot synchronise connections while it has a \
             service with real servers of the other family (`ipvsadm --list`)"
        )
    );
    assert_eq!(
        text(libc::ENOMEM),
        format!("{start}Cannot allocate memory (os error 12)")
    );
}

/// A fake kernel with IPVS, at the other end of a socket.
#[derive(Clone, Default)]
struct Kernel(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    family: Option<u16>,
    interfaces: Vec<String>,
    threads: Vec<Shown>,
}

impl Kernel {
    fn shows(&self) -> Vec<(LvsRole, LvsSync)> {
        let state = self.0.lock().unwrap();
        let threads = state.threads.iter();
        threads
            .map(|shown| (shown.role, shown.sync.clone()))
            .collect()
    }

    /// Answers requests until the other end is closed.
    fn serve(&self, socket: &OwnedFd) {
        let mut incoming = vec![0; 4096];
        while let Ok(length @ 1..) = recv(socket.as_raw_fd(), &mut incoming, MsgFlags::empty()) {
            let request = Message::all_of(&incoming[..length]).next().unwrap();
            let answer = self.0.lock().unwrap().answer(&request);
            send(socket.as_raw_fd(), &answer, MsgFlags::empty()).unwrap();
        }
    }
}

impl State {
    fn answer(&mut self, request: &Message<'_>) -> Vec<u8> {
        let number = request.header.sequence_number;
        let asked = request.header.message_type;
        if asked == kernel::CONTROLLER {
            let found = self
                .family
                .map(|family| kernel::tell_family(family, number));
            let code = if found.is_some() { 0 } else { libc::ENOENT };
            return [
                found.unwrap_or_default(),
                end(netlink::NLMSG_ERROR, code, number),
            ]
            .concat();
        }
        if Some(asked) != self.family {
            return end(netlink::NLMSG_ERROR, libc::ENOENT, number);
        }
        match kernel::read(request) {
            None => {
                let threads = self.threads.iter();
                let shown = threads.flat_map(|shown| kernel::tell(shown, asked, number));
                shown.chain(end(netlink::NLMSG_DONE, 0, number)).collect()
            }
            Some(change) => end(netlink::NLMSG_ERROR, self.change(&change), number),
        }
    }

    /// Errno of a change, or 0.
    fn change(&mut self, change: &Change) -> i32 {
        let is_there = |role| self.threads.iter().any(|there| there.role == role);
        match change {
            Change::Start(_, sync) if !self.interfaces.iter().any(|i| **i == *sync.interface) => {
                libc::ENODEV
            }
            Change::Start(role, _) if is_there(*role) => libc::EEXIST,
            Change::Start(role, sync) => {
                let (role, sync) = (*role, (**sync).clone());
                self.threads.push(Shown { role, sync });
                0
            }
            Change::Stop(role) if !is_there(*role) => libc::ESRCH,
            Change::Stop(role) => {
                self.threads.retain(|there| there.role != *role);
                0
            }
        }
    }
}

/// Last message of an answer: struct nlmsghdr and an error code.
fn end(kind: u16, code: i32, number: u32) -> Vec<u8> {
    let mut bytes = 20_u32.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(number.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend((-code).to_ne_bytes());
    bytes
}

/// A reconciler and its fake kernel. Their socket keeps datagrams apart as netlink does.
fn keeper(interfaces: &[&str]) -> (Reconciler, Kernel) {
    let family = AddressFamily::Unix;
    let (near, far) = socketpair(family, SockType::SeqPacket, None, SockFlag::empty()).unwrap();
    let kernel = Kernel::default();
    *kernel.0.lock().unwrap() = State {
        family: Some(33),
        interfaces: interfaces.iter().map(ToString::to_string).collect(),
        threads: Vec::new(),
    };
    let server = kernel.clone();
    std::thread::spawn(move || server.serve(&far));
    let ipvs = Some(Ipvs::over(near));
    let keeper = Reconciler {
        ipvs,
        ..Reconciler::default()
    };
    (keeper, kernel)
}

fn desired(role: Option<LvsRole>) -> DesiredLvs {
    DesiredLvs {
        sync: sync().into(),
        on: ETH1,
        role,
    }
}

fn sync() -> LvsSync {
    LvsSync::new("eth1".into(), 51)
}

fn texts(kept: &Reconciled) -> Vec<String> {
    kept.changes.iter().map(ToString::to_string).collect()
}
