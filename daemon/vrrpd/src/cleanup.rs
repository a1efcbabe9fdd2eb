//! `vrrpd cleanup`: what systemd runs when the daemon is dead, however it died.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tracing::Level;
use vrrp_config::{Loaded, Secrets, load};
use vrrp_linux::kernel::Kernel;
use vrrp_linux::lvs;
use vrrp_node::cleanup::{self, Cleaned, CleanedRouting};
use vrrp_proto::resources::ResourceParams;

use crate::cli::CleanupOptions;
use crate::services::resources::stop_all;
use crate::units::system_address;
use crate::{Failed, print};

pub(crate) fn cleanup(options: &CleanupOptions) -> Result<(), Failed> {
    let socket = options.runtime.control_socket();
    if UnixStream::connect(&socket).is_ok() {
        return Err(Failed::General.reasons(format_args!(
            "the daemon behind {} is alive and would put its addresses back; stop it first",
            socket.display()
        )));
    }
    options.place.enter()?;
    // Before the addresses, as a master gives both away.
    let mut kernel = Kernel::open().map_err(|error| {
        Failed::General.reasons(format_args!("cannot ask the kernel for anything: {error}"))
    })?;
    let routes = clean_up_routes(&mut kernel);
    // The configuration matters only where the kernel does not say whose an address is. That it
    // is missing or wrong must not keep the marked addresses on this host.
    let loaded = load(&options.configuration.file, Secrets::Skip)
        .map_err(Failed::from)
        .ok();
    let configured = loaded
        .iter()
        .flat_map(|loaded| loaded.node.routers.values())
        .filter(|router| !router.priority.is_owner())
        .flat_map(|router| {
            router
                .addresses
                .iter()
                .map(|address| (&*router.interface, *address))
        });
    let cleaned = cleanup::addresses(configured, &mut kernel).map_err(|error| {
        Failed::General.reasons(format_args!("cannot ask the kernel for addresses: {error}"))
    })?;
    let Cleaned {
        removed,
        failures,
        devices,
        stubborn,
        table,
    } = cleaned;
    for (interface, address) in &removed {
        print(&format!("removed {address} from {interface}\n"))?;
    }
    for device in &devices {
        print(&format!("removed the interface {device}\n"))?;
    }
    if let Ok(true) = table {
        print("removed the table inet vrrpd of nf_tables\n")?;
    }
    for failure in &failures {
        let _ = Failed::General.reasons(failure);
    }
    for (device, error) in &stubborn {
        let text = format_args!("cannot delete {device}: {error}");
        let _ = Failed::General.reasons(text);
    }
    if let Err(failure) = &table {
        let _ = Failed::General.reasons(failure);
    }
    let synchronisation = stop_synchronisation(&loaded);
    let resources = loaded.map_or_else(BTreeMap::new, |loaded| loaded.resources);
    // Last, because it may take long, and an address on two hosts is worse than a service.
    let resources = stop_resources(resources);
    if failures.is_empty() && stubborn.is_empty() && table.is_ok() {
        routes.and(synchronisation).and(resources)
    } else {
        Err(Failed::General)
    }
}

/// Stops the sync threads of IPVS, which are known by the configuration alone.
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

/// Stops what runs where a router is master.
fn stop_resources(resources: BTreeMap<Arc<str>, ResourceParams>) -> Result<(), Failed> {
    if resources.is_empty() {
        return Ok(());
    }
    let told = stop_all(resources, system_address()).map_err(|error| {
        Failed::General.reasons(format_args!("cannot speak to systemd: {error}"))
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

/// Removes routes and rules. That it fails must not keep the addresses on this host.
fn clean_up_routes(kernel: &mut Kernel) -> Result<(), Failed> {
    let CleanedRouting { removed, failures } = cleanup::routing(kernel).map_err(|error| {
        Failed::General.reasons(format_args!("cannot ask the kernel for routes: {error}"))
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
