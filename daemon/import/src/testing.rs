//! Conversions of short texts, for the unit tests of `lower`.

use std::path::Path;

use serde_json::Value;

use crate::{Conversion, Format, Kind, MemoryFiles, convert};

/// A result, null if there is none, and its report.
pub(crate) struct Converted {
    pub(crate) json: Value,
    entries: Vec<(Kind, String)>,
}

impl Converted {
    /// The instance `VI_1`.
    pub(crate) fn instance(&self) -> &Value {
        &self.json["instances"]["VI_1"]
    }

    /// Whether the report has an entry of `kind` whose position and message, `12:5: unknown`, begin like this.
    pub(crate) fn reports(&self, kind: Kind, beginning: &str) -> bool {
        let is_it = |(other, text): &(Kind, String)| *other == kind && text.starts_with(beginning);
        self.entries.iter().any(is_it)
    }

    /// Number of entries of `kind`.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.entries
            .iter()
            .filter(|(other, _)| *other == kind)
            .count()
    }
}

impl core::fmt::Display for Converted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        writeln!(f, "{:#}", self.json)?;
        for (kind, text) in &self.entries {
            writeln!(f, "{kind}: {text}")?;
        }
        Ok(())
    }
}

/// Converts a file.
pub(crate) fn file(text: &str) -> Converted {
    let files = MemoryFiles::default().with("/k.conf", text);
    let Conversion { output, report } = convert(&files, Path::new("/k.conf"), "here", Format::Json);
    let entry = |entry: &crate::Entry| {
        let text = match &entry.position {
            Some(at) => format!("{}:{}: {}", at.line, at.column, entry.message),
            None => entry.message.clone(),
        };
        (entry.kind, text)
    };
    Converted {
        json: output.map_or(Value::Null, |text| {
            serde_json::from_str(&text).expect("a result is JSON")
        }),
        entries: report.entries().iter().map(entry).collect(),
    }
}

/// Converts a file of one instance, whose settings begin in line 4. `before` is one line, such as `global_defs`.
pub(crate) fn instance(before: &str, settings: &str) -> Converted {
    file(&format!(
        "{before}\nvrrp_instance VI_1 {{\ninterface eth1\n{settings}\nvirtual_router_id 51\npriority 100\n\
         virtual_ipaddress {{\n192.0.2.100/24\n}}\n}}\n"
    ))
}
