//! Conversion of keepalived.conf into a configuration of vrrpd.
//!
//! The conversion has four steps, each in its module:
//!
//! 1. `read`: the files as statements with blocks. Definitions, conditions, repetitions and `include`
//!    are expanded, and each word keeps its place in the file;
//! 2. `lower`: the statements as a `document`, a configuration of vrrpd whose values know the place that
//!    they come from. `settings` hands out the statements by keyword and reports those that no code has
//!    taken;
//! 3. the check of vrrp-config, whose problems and warnings get the places of their values;
//! 4. `render`: the document as JSON or as a NixOS module.
//!
//! Every step adds to one [`Report`]. A statement is converted, converted with another behaviour, not
//! converted, or a mistake; no statement is left out silently. If there is a mistake, there is no result.
//!
//! The crate reads no file itself: the caller provides [`Files`]. `limits` bound the time and the
//! memory that any input takes.

mod document;
mod files;
mod glob;
mod limits;
mod lower;
mod place;
mod read;
mod render;
mod report;
mod settings;
#[cfg(test)]
mod testing;

use std::path::Path;

pub use files::{Files, MemoryFiles};
pub use report::{Entry, Kind, Position, Report};

use document::{Object, nearest, places};
use place::Sources;
use report::Notes;

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The configuration file of the daemon.
    Json,
    /// A NixOS module that sets `services.vrrp`.
    Nix,
}

/// Result of a conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The configuration, which vrrp-config accepts; `None` if the report has an error.
    pub output: Option<String>,
    /// Settings that were converted otherwise or not at all, and mistakes.
    pub report: Report,
}

/// Converts `file` for the host or instance `id`, which conditions (`@ID`) name.
pub fn convert(files: &dyn Files, file: &Path, id: &str, format: Format) -> Conversion {
    let mut sources = Sources::default();
    let mut notes = Notes::default();
    let statements = read::read(files, file, id, &mut sources, &mut notes);
    let document = lower::lower(&statements, &mut notes);
    let json = render::json(&document);
    if !notes.has_error() {
        check(&document, &json, &mut notes);
    }
    let output = (!notes.has_error()).then(|| match format {
        Format::Json => json,
        Format::Nix => render::nix(&document),
    });
    Conversion {
        output,
        report: notes.finish(&sources),
    }
}

/// Whether `text` looks like keepalived.conf and not like JSON.
pub fn is_keepalived(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let is_block = |line: &str| {
        let word = line.split([' ', '\t', '{']).next().unwrap_or_default();
        lower::BLOCKS.contains(&word)
    };
    !text.trim_start().starts_with(['{', '[', '"']) && lines.any(is_block)
}

/// Adds the problems and warnings that vrrp-config finds in the document.
fn check(document: &Object, json: &str, notes: &mut Notes) {
    let (kind, found) = match vrrp_config::parse(json) {
        Ok(checked) => (Kind::Warning, checked.warnings().to_vec()),
        Err(problems) => (Kind::Error, problems.into_iter().collect()),
    };
    let places = places(document);
    for problem in found {
        let place = nearest(&places, &problem.path);
        notes.add(kind, place, problem.to_string());
    }
}
