//! Fuzz target that turns bytes into the files of a keepalived.conf.

use std::path::Path;

use vrrp_import::{Conversion, Format, Kind, MemoryFiles, convert};

/// Separates the files of an input: /0.conf, /1.conf and so on.
const SEPARATOR: char = '\u{1e}';

/// Converts a keepalived.conf.
///
/// # Panics
///
/// When there is neither a result nor an error, when the result is not valid, and when an entry of the
/// report is too long.
pub fn keepalived(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let files = text.split(SEPARATOR).enumerate();
    let files = files.fold(MemoryFiles::default(), |files, (number, text)| {
        files.with(format!("/{number}.conf"), text)
    });
    let run = |format| convert(&files, Path::new("/0.conf"), "here", format);
    let Conversion { output, report } = run(Format::Json);
    assert_eq!(output.is_none(), report.has(Kind::Error), "{report}");
    if let Some(output) = output {
        let checked = vrrp_config::parse(&output);
        assert!(checked.is_ok(), "{checked:?}");
    }
    let nix = run(Format::Nix);
    assert_eq!(
        nix.output.is_none(),
        nix.report.has(Kind::Error),
        "{}",
        nix.report
    );
    for entry in report.entries() {
        let length = entry.to_string().len();
        assert!(
            length <= 2000 + 8 * text.len(),
            "an entry of {length} bytes"
        );
    }
}
