//! The kind `file`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::{TrackerParams, Verdict};

use super::{LASTING, Probe, default};
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};

/// A whole number in a file, for whoever decides by other means. It is multiplied by the weight of the
/// instance that follows it, and is a fault if that makes less than -253; without a weight all numbers
/// but 0 are a fault. A file that is not there or holds anything else is down.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedFile {
    /// The absolute path of the file. It need not exist yet. It counts when whoever writes it closes it,
    /// or moves another one to its place.
    path: Field<String>,
    /// The least time between two changes of the verdict, 0 to 1 day; what is still so when it ends
    /// counts then. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
}

/// A file that holds a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberFile {
    /// Its absolute path.
    pub path: PathBuf,
}

impl TrackedFile {
    /// What the engine and the daemon are told of it. `None` if what is wrong has been reported.
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
            // It is read at once.
            initial: Verdict::saying(0),
            ..TrackerParams::new(probe.kind())
        };
        Some((params, probe))
    }
}
