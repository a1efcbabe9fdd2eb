//! `vrrpd check` and `vrrpd schema`.

use vrrp_config::{LoadError, Secrets, load};
use vrrp_import::is_keepalived;

use crate::cli::{CheckOptions, DEFAULT_CONFIGURATION};
use crate::text::count;
use crate::{Failed, print};

pub(crate) fn check(options: &CheckOptions) -> Result<(), Failed> {
    let secrets = if options.without_secrets {
        Secrets::Skip
    } else {
        Secrets::Read
    };
    let loaded = load(&options.file, secrets).map_err(|error| explain(options, error))?;
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

/// Prints why there is no configuration. A keepalived.conf has one mistake: its format.
fn explain(options: &CheckOptions, error: LoadError) -> Failed {
    let is_foreign = matches!(error, LoadError::Invalid { .. })
        && vrrp_config::read(&options.file).is_ok_and(|text| is_keepalived(&text));
    if !is_foreign {
        return error.into();
    }
    let file = options.file.display();
    Failed::Configuration.reasons(format_args!(
        "{file}: this is a configuration of keepalived: `vrrpd convert {file} > {DEFAULT_CONFIGURATION}` converts it"
    ))
}

pub(crate) fn schema() -> Result<(), Failed> {
    print(&format!("{:#}\n", vrrp_config::schema()))
}
