//! The host of the node: sockets, frames, the kernel, and threads for slow requests.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use tracing::Level;
use vrrp_linux::announce::AnnounceSocket;
use vrrp_linux::kernel::Kernel;
use vrrp_linux::poller::Poller;
use vrrp_linux::socket::ReceiveBatch;
use vrrp_node::device::DeviceChange;
use vrrp_node::host::{Host, RejectedAdvert, Severity, WitnessedPacket};
use vrrp_node::listeners::{Defended, Listeners, Path, Watched};
use vrrp_node::mirror::Mirror;
use vrrp_proto::{Advertisement, DesiredLvs, InterfaceIndex, MacAddress, Report, Solicitation};

use super::CONFLICTS;
use super::conflicts::ConflictListener;
use super::device_reaper::DeviceReaper;
use super::lvs::LvsReconciler;
use super::sockets::Sockets;
use super::witness::Witnesses;
use crate::channel::EventSender;
use crate::complaints::Complaints;
use crate::log_writer::{Log, Record};

/// Host of the node on Linux.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) kernel: Kernel,
    poller: Rc<Poller>,
    pub(super) sockets: Sockets,
    witnesses: Witnesses,
    /// Buffers for `witnesses`, once they are needed.
    batch: Option<ReceiveBatch>,
    /// Hears claims of the addresses; started by the first master.
    pub(super) conflicts: Option<ConflictListener>,
    announcer: AnnounceSocket,
    /// Deletes macvlans; started by the first change.
    device_reaper: Option<DeviceReaper>,
    /// Keeps the IPVS sync daemon; started by the first change.
    pub(super) lvs: Option<LvsReconciler>,
    pub(super) events: EventSender,
    log: Log,
    pub(super) complaints: Complaints,
}

impl Machine {
    /// # Errors
    /// When the kernel does not give the sockets.
    pub(super) fn new(
        kernel: Kernel,
        poller: Rc<Poller>,
        events: EventSender,
        log: Log,
    ) -> io::Result<Self> {
        Ok(Self {
            kernel,
            poller,
            sockets: Sockets::default(),
            witnesses: Witnesses::default(),
            batch: None,
            conflicts: None,
            announcer: AnnounceSocket::open()?,
            device_reaper: None,
            lvs: None,
            events,
            complaints: Complaints::new(log.clone()),
            log,
        })
    }
}

impl Host for Machine {
    type Kernel = Kernel;

    fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    fn listen(&mut self, listeners: &Listeners) -> Vec<(Path, io::Error)> {
        self.sockets.open(listeners, &self.poller)
    }

    fn listen_only(&mut self, listeners: &Listeners) {
        self.sockets.close(listeners);
    }

    fn watch(&mut self, watched: &Watched, mirror: &Mirror) {
        self.witnesses.watch(watched, |interface, error| {
            let name = mirror.name(interface);
            let text = format!(
                "cannot open a packet socket on {name}: {error}; advertisements that this host drops \
                 cannot withhold a take-over"
            );
            self.complaints.tell(Level::WARN, text);
        });
    }

    fn witnessed(&mut self, packets: &mut Vec<WitnessedPacket>) {
        let batch = self.batch.get_or_insert_with(ReceiveBatch::new);
        self.witnesses.receive(batch, packets, |_, error| {
            let text = format!("cannot read what arrives at an interface: {error}");
            self.complaints.tell(Level::WARN, text);
        });
    }

    fn defend(&mut self, addresses: &Defended) -> io::Result<()> {
        let conflicts = match &mut self.conflicts {
            Some(conflicts) => conflicts,
            none => {
                let listener = ConflictListener::start(&self.poller, CONFLICTS, self.log.clone())?;
                none.insert(listener)
            }
        };
        conflicts.hand(addresses.clone());
        Ok(())
    }

    fn advertise(&mut self, advertisement: Advertisement) {
        let Advertisement {
            interface,
            source,
            destination,
            hop_limit,
            mac,
            message,
        } = advertisement;
        match mac {
            // A raw IP socket would send from the MAC address of the interface.
            Some(mac) => self.announcer.queue_advert(interface, mac, source, message),
            None => {
                self.sockets
                    .queue(interface, source, destination, hop_limit, message);
            }
        }
    }

    fn announce(&mut self, interface: InterfaceIndex, mac: MacAddress, address: IpAddr) {
        self.announcer.queue(interface, mac, address);
    }

    fn solicit(&mut self, solicitation: Solicitation) {
        self.announcer.queue_solicitation(solicitation);
    }

    fn flush(&mut self, mirror: &Mirror, rejected: &mut Vec<RejectedAdvert>) {
        self.sockets.flush(rejected);
        self.announcer.flush(rejected, |interface, address, error| {
            let name = mirror.name(interface);
            let text = format!("cannot announce or ask for {address} on {name}: {error}");
            self.complaints.tell(Level::WARN, text);
        });
    }

    fn defer_devices(&mut self, changes: Vec<DeviceChange>) -> io::Result<()> {
        let device_reaper = match &mut self.device_reaper {
            Some(device_reaper) => device_reaper,
            none => none.insert(DeviceReaper::start(self.log.clone())?),
        };
        device_reaper.hand(changes);
        Ok(())
    }

    fn recall_devices(&mut self, which: &dyn Fn(&str) -> bool) {
        if let Some(device_reaper) = &self.device_reaper {
            device_reaper.forget(which);
        }
    }

    fn synchronise(&mut self, desired: DesiredLvs) -> io::Result<()> {
        let keeper = match &mut self.lvs {
            Some(keeper) => keeper,
            none => none.insert(LvsReconciler::start(self.log.clone())?),
        };
        keeper.hand(desired);
        Ok(())
    }

    fn report(&mut self, report: Report) {
        self.events.tell(&report);
        self.log.record(Record::Report(report));
    }

    fn complain(&mut self, severity: Severity, text: String) {
        let level = match severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARN,
        };
        self.complaints.tell(level, text);
    }

    fn note(&mut self, text: String) {
        self.log.note(Level::WARN, text);
    }
}
