//! Fakes of the APIs that the lab does not have: fake.py as a process of a host.

use vrrp_lab::{Error, Host, Process, Result};

use crate::common::SOON;
use crate::site::start;

/// Directory whose files a fake serves.
const FILES: &str = "/run/fake";

/// Starts a fake at an address and port.
pub(crate) fn serve(host: &Host, address: &str, port: &str) -> Result<Process> {
    serve_with(host, &[address, port])
}

/// As [`serve`], by HTTPS, with the paths of a certificate and its key.
pub(crate) fn serve_with(host: &Host, arguments: &[&str]) -> Result<Process> {
    host.write("/run/fake.py", include_str!("fake.py"), 0o644)?;
    let command = [&["python3", "/run/fake.py", FILES], arguments].concat();
    let server = start(host, &command)?;
    server.wait_for_line(|line| line == "listening", SOON)?;
    Ok(server)
}

/// Sets the page at a path, without slashes, or removes it, so that the fake answers with 503.
pub(crate) fn set(host: &Host, path: &str, page: Option<&str>) -> Result<()> {
    let file = format!("{FILES}/{path}");
    match page {
        Some(page) => host.write(file, page, 0o644),
        None => host
            .run(|| std::fs::remove_file(&file))
            .map_err(|error| Error::new(format!("removing {file}"), error)),
    }
}
