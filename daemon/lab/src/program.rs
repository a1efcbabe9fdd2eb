//! The running program, which is also the init and the web server of the hosts.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::error::{Doing, Result};

static EXE: OnceLock<PathBuf> = OnceLock::new();

/// Path of the running program, which is also the lab's init and web server: `exe() __httpd --name
/// NAME --pid-file FILE --listen ADDRESS [--daemon]` in a check script starts the web server.
///
/// # Errors
/// If /proc is not mounted.
pub fn exe() -> Result<PathBuf> {
    if let Some(exe) = EXE.get() {
        return Ok(exe.clone());
    }
    let exe = std::env::current_exe().doing("reading the path of this program")?;
    Ok(EXE.get_or_init(|| exe).clone())
}
