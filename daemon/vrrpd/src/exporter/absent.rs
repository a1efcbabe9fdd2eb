//! `vrrpd exporter` in a program without HTTP (feature `http`).

use crate::Failed;
use crate::cli::ExporterOptions;

pub(crate) fn exporter(_: &ExporterOptions) -> Result<(), Failed> {
    Err(Failed::General
        .reasons("this vrrpd was built without the feature \"http\": it has no exporter"))
}
