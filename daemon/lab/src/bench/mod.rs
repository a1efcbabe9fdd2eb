//! Measures the daemon beside keepalived. To be written.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Options {}

/// Whether all was as it must be.
pub(crate) fn run(_options: &Options) -> vrrp_lab::Result<bool> {
    Ok(true)
}
