//! Check that the program contains what a configuration uses.

use crate::model::Config;
use crate::problem::{Findings, Path};
use crate::tracker::Tracker;
use crate::walk::instances;

/// Optional parts of the program.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    dbus: bool,
    http: bool,
}

impl Parts {
    pub(super) const OF_THIS_PROGRAM: Self = Self {
        dbus: cfg!(feature = "dbus"),
        http: cfg!(feature = "http"),
    };
}

/// Checks that the program contains what the configuration uses.
pub(super) fn are_built_in(config: &Config, parts: Parts, problems: &mut Findings) {
    let mut require = |path: &Path, feature: &str, is_built_in: bool| {
        if !is_built_in {
            let message = format!("this vrrpd was built without the feature \"{feature}\"");
            problems.add(path, message);
        }
    };
    let path = Path::default().key("trackers");
    for (name, tracker) in config.trackers.value().into_iter().flatten() {
        match tracker.value() {
            Some(Tracker::Http(_)) => require(&path.key(name).key("http"), "http", parts.http),
            Some(Tracker::Unit(_)) => require(&path.key(name).key("unit"), "dbus", parts.dbus),
            _ => {}
        }
    }
    for (path, instance) in instances(config) {
        if instance.resources.is_present() {
            require(&path.key("resources"), "dbus", parts.dbus);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde::Deserialize as _;

    use super::*;
    use crate::field::Field;
    use crate::reader::Position;
    use crate::tree::Node;

    #[test]
    fn missing_part_is_named_where_it_is_used() {
        let tree = Node::parse(
            r#"{ "trackers": { "page": { "http": { "url": "http://192.0.2.1/" } },
                               "db": { "unit": { "name": "postgresql.service" } } },
                 "instances": { "VI_1": { "resources": ["postgresql.service"] } } }"#,
        )
        .expect("it is JSON");
        let read = RefCell::default();
        let config = Field::<Config>::deserialize(&Position::root(&tree, &read));
        let config = config.unwrap_or_default();
        let config = config.value().expect("it can be read");
        let shown = |dbus, http| {
            let mut problems = Findings::default();
            are_built_in(config, Parts { dbus, http }, &mut problems);
            let problems = problems.locate(&tree).into_iter();
            problems.map(|problem| problem.path).collect::<Vec<_>>()
        };
        assert_eq!(shown(true, true), [""; 0]);
        assert_eq!(shown(true, false), ["trackers.page.http"]);
        assert_eq!(
            shown(false, true),
            ["trackers.db.unit", "instances.VI_1.resources"]
        );
    }
}
