//! `vrrpd check` and `vrrpd schema`.

use vrrp_config::{Secrets, load};

use crate::cli::CheckOptions;
use crate::text::count;
use crate::{Failed, print};

pub(crate) fn check(options: &CheckOptions) -> Result<(), Failed> {
    let secrets = if options.without_secrets {
        Secrets::Skip
    } else {
        Secrets::Read
    };
    let loaded = load(&options.file, secrets)?;
    let mut text = String::new();
    for warning in &loaded.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text.push_str(&format!(
        "{}: valid, {} and {}\n",
        options.file.display(),
        count(loaded.node.routers.len(), "instance"),
        count(loaded.node.trackers.len(), "tracker"),
    ));
    print(&text)
}

pub(crate) fn schema() -> Result<(), Failed> {
    print(&format!("{:#}\n", vrrp_config::schema()))
}
