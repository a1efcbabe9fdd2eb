//! The program `vrrp-lab`: hosts for people to try the daemon on.

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = vrrp_lab::isolate() {
        let _ = writeln!(io::stderr(), "vrrp-lab: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
