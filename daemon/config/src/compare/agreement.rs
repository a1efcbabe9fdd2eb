//! Settings that have to be the same on all hosts.

use super::difference::{Difference, Severity, majority};
use super::virtual_router::Instance;

/// A setting that has to be the same on all hosts.
pub(super) struct Rule<'r> {
    /// Key in the instance.
    pub(super) key: &'r str,
    pub(super) severity: Severity,
    /// The rule with its reason, without the key.
    pub(super) message: &'r str,
}

impl Rule<'_> {
    /// Returns a difference if `instances` have different values, with those marked that differ from most.
    pub(super) fn check(
        &self,
        instances: &[Instance<'_>],
        value: impl Fn(&Instance<'_>) -> String,
    ) -> Option<Difference> {
        let values: Vec<String> = instances.iter().map(value).collect();
        if values.windows(2).all(|pair| pair[0] == pair[1]) {
            return None;
        }
        let usual = majority(&values);
        let settings = instances.iter().zip(&values).map(|(instance, value)| {
            let usual = usual.filter(|usual| *usual != value);
            let odd = usual.map(|usual| format!("most hosts have {usual}"));
            instance.setting(self.key, Some(value.clone()), odd)
        });
        Some(Difference {
            severity: self.severity,
            message: format!("{} {}", self.key, self.message),
            settings: settings.collect(),
        })
    }
}
