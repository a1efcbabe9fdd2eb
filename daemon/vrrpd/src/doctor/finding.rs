//! Findings: a fault of the host, its severity, and the command that mends it.

use std::fmt;

use serde_json::{Value, json};

/// Consequence of a finding, and the exit status of the worst one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// May disturb the service, or could not be examined.
    Warning = 1,
    /// The instance cannot serve, or two hosts would serve.
    Error = 2,
}

/// A result of an examination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// Name of the check, for programs.
    pub(super) check: &'static str,
    /// The instance, or empty if it concerns the host.
    pub(super) instance: String,
    pub(super) text: String,
    /// Command or setting that mends it.
    pub(super) remedy: String,
}

impl Finding {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.to_string(),
            "check": self.check,
            "instance": if self.instance.is_empty() { None } else { Some(&self.instance) },
            "text": self.text,
            "remedy": self.remedy,
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if !self.instance.is_empty() {
            write!(f, "{}: ", self.instance)?;
        }
        writeln!(f, "{}", self.text)?;
        writeln!(f, "  {}", self.remedy)
    }
}
