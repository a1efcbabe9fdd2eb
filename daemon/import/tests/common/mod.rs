//! The samples, and a reader of Nix.

#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod nix;

use std::fs;
use std::path::{Path, PathBuf};

use vrrp_import::{Conversion, Files, Format, MemoryFiles, convert};

/// Names of the samples in their order.
pub(crate) fn samples() -> Vec<String> {
    let entries = fs::read_dir(directory()).expect("the directory of the samples");
    let paths = entries.flatten().map(|entry| entry.path());
    let files = paths.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "conf")
    });
    let mut names: Vec<_> = files
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

/// Converts a sample on the host `here`.
pub(crate) fn sample(name: &str, format: Format) -> Conversion {
    convert(&Samples, Path::new(&format!("{name}.conf")), "here", format)
}

/// Converts a text, which has a result.
pub(crate) fn converted(text: &str, format: Format) -> String {
    let files = MemoryFiles::default().with("/k.conf", text);
    let Conversion { output, report } = convert(&files, Path::new("/k.conf"), "here", format);
    output.unwrap_or_else(|| panic!("{report}"))
}

/// Directory of the samples.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

struct Samples;

impl Files for Samples {
    fn read(&self, path: &Path) -> Result<String, String> {
        fs::read_to_string(directory().join(path)).map_err(|error| error.to_string())
    }

    fn entries(&self, path: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory().join(path))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}
