//! Trackers of the kind `file`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::{TrackerParams, Verdict};

use super::{LASTING, Probe, default};
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};

/// Whole number in a file, which another program writes. It is multiplied by the weight with which
/// an instance follows the tracker; the instance is in fault if the product is less than -253.
/// Without a weight, every number but 0 puts the instance into fault. A missing file and any other
/// content are down.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedFile {
    /// Absolute path of the file. It need not exist yet. A new content takes effect when the writer
    /// closes the file or moves another file to this path.
    path: Field<String>,
    /// Minimum time between two changes of the verdict, 0 to 1 day; a change during that time takes
    /// effect at its end if it still applies. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
}

/// A file that holds a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberFile {
    /// Absolute path of the file.
    pub path: PathBuf,
}

impl TrackedFile {
    /// Returns the parameters for the engine and the probe for the daemon. `None` if a problem has
    /// been reported.
    pub(super) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(TrackerParams, Probe)> {
        const EXAMPLE: &str = r#""path": "/run/vrrp/priority""#;
        let hold = LASTING.check(&path.key("hold"), &self.hold, findings);
        let path = path.key("path");
        let file = self.path.required(&path, EXAMPLE, findings)?;
        if !file.starts_with('/') || file.ends_with('/') || file.contains('\0') {
            findings.add(
                &path,
                "must be the absolute path of a file, like \"/run/vrrp/priority\"",
            );
        }
        let probe = Probe::File(NumberFile { path: file.into() });
        let params = TrackerParams {
            hold: hold?,
            // The daemon reads the file at once, so there is no `initial` to configure.
            initial: Verdict::saying(0),
            ..TrackerParams::new(probe.kind())
        };
        Some((params, probe))
    }
}
