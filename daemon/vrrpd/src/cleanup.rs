//! `vrrpd cleanup`: removes what the daemon left on the host. systemd runs it after every end of
//! the daemon.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tracing::Level;
use vrrp_config::{Loaded, Secrets, load};
use vrrp_linux::claim;
use vrrp_linux::kernel::Kernel;
use vrrp_linux::lvs;
use vrrp_node::cleanup::{self, Cleaned, CleanedRouting};
use vrrp_proto::resources::ResourceParams;

use crate::cli::CleanupOptions;
use crate::services::resources::stop_all;
use crate::state_files::StateFiles;
use crate::units::system_address;
use crate::{Failed, print};

pub(crate) fn cleanup(options: &CleanupOptions) -> Result<(), Failed> {
    options.place.enter()?;
    refuse_beside_a_daemon(options)?;
    let runtime = options.runtime.directory();
    // Only the hand-over matters here, which is in the runtime directory.
    let files = StateFiles::new(&runtime, &runtime);
    if files.is_awaited() && !has_failed() {
        return print("a restart is under way: left everything to the next vrrpd\n");
    }
    files.forget();
    // Routes before addresses, in the order in which a master removes both. Nothing is read or printed
    // before the addresses are gone: a file system or a pipe may stand still.
    let mut kernel = Kernel::open().map_err(|error| {
        Failed::General.reasons(format_args!("cannot open a netlink socket: {error}"))
    })?;
    let routes = cleanup::routing(&mut kernel);
    // The configuration matters only for addresses without our mark in the kernel. A missing or
    // invalid one must not keep the marked addresses on this host.
    let loaded = OnceCell::new();
    let configuration = || {
        let load = || load(&options.configuration.file, Secrets::Skip);
        loaded.get_or_init(|| load().map_err(Failed::from).ok())
    };
    let routers = || {
        let loaded = configuration().iter();
        loaded.flat_map(|loaded| loaded.node.routers.values())
    };
    let cleaned = cleanup::addresses(routers, &mut kernel);
    let routes = report_routes(routes);
    let addresses = report_addresses(cleaned);
    configuration();
    let loaded = loaded.into_inner().flatten();
    let synchronisation = stop_synchronisation(&loaded);
    let resources = loaded.map_or_else(BTreeMap::new, |loaded| loaded.resources);
    // Last, because it may take long: an address on two hosts does more harm than a service on two.
    let resources = stop_resources(resources);
    addresses.and(routes).and(synchronisation).and(resources)
}

/// Whether systemd runs this command after a failure of the unit (systemd.exec(5), SERVICE_RESULT): the next
/// process could not be started.
fn has_failed() -> bool {
    std::env::var_os("SERVICE_RESULT").is_some_and(|result| result != "success")
}

/// Fails if a daemon runs here: it would restore what is deleted.
fn refuse_beside_a_daemon(options: &CleanupOptions) -> Result<(), Failed> {
    let holder = claim::holder().map_err(|error| {
        Failed::General.reasons(format_args!(
            "cannot tell whether a daemon is running: {error}"
        ))
    })?;
    if let Some(holder) = holder {
        return Err(Failed::General.reasons(format_args!(
            "{holder} and would restore its addresses; stop it first"
        )));
    }
    let socket = options.runtime.control_socket();
    if UnixStream::connect(&socket).is_ok() {
        return Err(Failed::General.reasons(format_args!(
            "the daemon at {} is running and would restore its addresses; stop it first",
            socket.display()
        )));
    }
    Ok(())
}

/// Prints what was removed from the interfaces, and the failures.
fn report_addresses<E: fmt::Display>(cleaned: io::Result<Cleaned<E>>) -> Result<(), Failed> {
    let Cleaned {
        removed,
        failures,
        promotion_failures,
        devices,
        stubborn,
        table,
        own_sources,
    } = cleaned.map_err(|error| {
        Failed::General.reasons(format_args!(
            "cannot read the addresses from the kernel: {error}"
        ))
    })?;
    for failure in &failures {
        let _ = Failed::General.reasons(failure);
    }
    for failure in &promotion_failures {
        let _ = Failed::General.reasons(failure);
    }
    for (device, error) in &stubborn {
        let text = format_args!("cannot delete {device}: {error}");
        let _ = Failed::General.reasons(text);
    }
    if let Err(failure) = &table {
        let _ = Failed::General.reasons(failure);
    }
    if let Err(error) = &own_sources {
        let text = format_args!("cannot restore accept_local: {error}");
        let _ = Failed::General.reasons(text);
    }
    for (interface, address) in &removed {
        print(&format!("removed {address} from {interface}\n"))?;
    }
    for device in &devices {
        print(&format!("removed the interface {device}\n"))?;
    }
    if let Ok(true) = table {
        print("removed the table inet vrrpd of nf_tables\n")?;
    }
    for interface in own_sources.iter().flatten() {
        print(&format!("restored accept_local of {interface}\n"))?;
    }
    if failures.is_empty() && stubborn.is_empty() && table.is_ok() && own_sources.is_ok() {
        Ok(())
    } else {
        Err(Failed::General)
    }
}

/// Stops the IPVS sync daemons. Only the configuration tells which ones are ours.
fn stop_synchronisation(loaded: &Option<Loaded>) -> Result<(), Failed> {
    let routers = loaded
        .iter()
        .flat_map(|loaded| loaded.node.routers.values());
    for sync in routers.filter_map(|router| router.lvs.as_ref()) {
        let stopped = lvs::cleanup(sync).map_err(|failure| Failed::General.reasons(failure))?;
        for change in stopped {
            print(&format!("{change}\n"))?;
        }
    }
    Ok(())
}

/// Stops the resources of all instances.
fn stop_resources(resources: BTreeMap<Arc<str>, ResourceParams>) -> Result<(), Failed> {
    if resources.is_empty() {
        return Ok(());
    }
    let told = stop_all(resources, system_address()).map_err(|error| {
        Failed::General.reasons(format_args!(
            "cannot start the connection to systemd: {error}"
        ))
    })?;
    let mut outcome = Ok(());
    for (level, text) in told {
        match level {
            Level::ERROR => outcome = Err(Failed::General.reasons(text)),
            _ => print(&format!("{text}\n"))?,
        }
    }
    outcome
}

/// Prints the removed routes and rules, and the failures.
fn report_routes(routes: io::Result<CleanedRouting>) -> Result<(), Failed> {
    let CleanedRouting { removed, failures } = routes.map_err(|error| {
        Failed::General.reasons(format_args!(
            "cannot read the routes from the kernel: {error}"
        ))
    })?;
    for what in &removed {
        print(&format!("removed {what}\n"))?;
    }
    for failure in &failures {
        let _ = Failed::General.reasons(failure);
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failed::General)
    }
}
