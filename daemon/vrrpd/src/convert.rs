//! `vrrpd convert`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use vrrp_import::{Conversion, Files, Kind};

use crate::cli::{self, ConvertOptions, Format};
use crate::{Failed, print};

pub(crate) fn convert(options: &ConvertOptions) -> Result<(), Failed> {
    // A file that cannot be read is no mistake in a configuration.
    let files = FileSystem {
        file: &options.file,
        text: vrrp_config::read_lossy(&options.file)?,
    };
    let format = match options.to {
        Format::Json => vrrp_import::Format::Json,
        Format::Nix => vrrp_import::Format::Nix,
    };
    let Conversion { output, report } =
        vrrp_import::convert(&files, &options.file, &options.id(), format);
    // If standard error is closed, the result still matters.
    let _ = writeln!(std::io::stderr().lock(), "{report}");
    let output = output.ok_or(Failed::Configuration)?;
    print(&output)?;
    if options.strict && report.has(Kind::NotConverted) {
        return Err(Failed::Configuration);
    }
    Ok(())
}

/// Converts `file` for a comparison with other hosts. Prints the mistakes, if there are any, and otherwise how
/// many settings have no equivalent.
pub(crate) fn json(file: &Path) -> Result<String, Failed> {
    let files = FileSystem {
        file,
        text: vrrp_config::read_lossy(file)?,
    };
    let id = cli::this_host();
    let Conversion { output, report } =
        vrrp_import::convert(&files, file, &id, vrrp_import::Format::Json);
    let Some(json) = output else {
        return Err(Failed::Configuration.reasons(report));
    };
    if report.has(Kind::NotConverted) {
        let file = file.display();
        let note = format!(
            "{file}: some settings have no equivalent: `vrrpd convert {file}` lists them\n"
        );
        print(&note)?;
    }
    Ok(json)
}

/// Files of this host. The first one is read once, because it may be a pipe.
struct FileSystem<'f> {
    file: &'f Path,
    text: String,
}

impl Files for FileSystem<'_> {
    fn read(&self, path: &Path) -> Result<String, String> {
        if path == self.file {
            return Ok(self.text.clone());
        }
        vrrp_config::read_lossy(path).map_err(|error| error.to_string())
    }

    fn entries(&self, directory: &Path) -> Vec<String> {
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        };
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}
