//! `vrrpd check` and `vrrpd schema`.

use std::path::Path;

use vrrp_config::{ComparedHost, LoadError, Loaded, Secrets, Severity, compare, load};
use vrrp_import::is_keepalived;

use crate::cli::{CheckOptions, DEFAULT_CONFIGURATION};
use crate::convert;
use crate::text::count;
use crate::{Failed, print};

pub(crate) fn check(options: &CheckOptions) -> Result<(), Failed> {
    let secrets = if options.without_secrets {
        Secrets::Skip
    } else {
        Secrets::Read
    };
    match &*options.files() {
        [file] => check_one(file, secrets),
        files => check_several(files, secrets),
    }
}

fn check_one(file: &Path, secrets: Secrets) -> Result<(), Failed> {
    let loaded = load(file, secrets).map_err(|error| explain(file, error))?;
    let mut text = String::new();
    for warning in &loaded.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text.push_str(&summary(file, &loaded));
    print(&text)
}

/// Checks each file, and compares the configurations if all of them are valid.
fn check_several(files: &[impl AsRef<Path>], secrets: Secrets) -> Result<(), Failed> {
    let names: Vec<String> = files
        .iter()
        .map(|file| file.as_ref().display().to_string())
        .collect();
    let loaded: Vec<Result<Loaded, Failed>> = files
        .iter()
        .map(|file| load_or_convert(file.as_ref(), secrets))
        .collect();
    let loaded: Vec<Loaded> = loaded.into_iter().collect::<Result<_, _>>()?;

    let mut text = String::new();
    for (file, loaded) in names.iter().zip(&loaded) {
        for warning in &loaded.warnings {
            text.push_str(&format!("{file}: warning: {warning}\n"));
        }
        text.push_str(&summary(Path::new(file), loaded));
    }
    let hosts = names.iter().zip(&loaded);
    let hosts: Vec<ComparedHost<'_>> = hosts
        .map(|(file, configuration)| ComparedHost {
            file,
            configuration,
        })
        .collect();
    let differences = compare(&hosts);
    let (errors, others): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .partition(|difference| difference.severity == Severity::Error);
    for difference in &others {
        text.push_str(&format!("{difference}\n"));
    }
    if errors.is_empty() {
        text.push_str(&format!("{} fit together\n", count(hosts.len(), "host")));
        return print(&text);
    }
    print(&text)?;
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Err(Failed::Configuration.reasons(format_args!(
        "the hosts do not fit together\n{}",
        errors.join("\n")
    )))
}

/// Loads a configuration, or converts one of keepalived.
fn load_or_convert(file: &Path, secrets: Secrets) -> Result<Loaded, Failed> {
    let error = match load(file, secrets) {
        Ok(loaded) => return Ok(loaded),
        Err(error) => error,
    };
    if !is_foreign(file, &error) {
        return Err(error.into());
    }
    let json = convert::json(file)?;
    let checked = vrrp_config::parse(&json).map_err(|problems| LoadError::Invalid {
        file: file.to_owned(),
        problems,
    });
    // The passwords of keepalived are in its configuration.
    let loaded = checked?.complete(Secrets::Skip, None);
    loaded.map_err(|problems| {
        LoadError::Secrets {
            file: file.to_owned(),
            problems,
        }
        .into()
    })
}

fn summary(file: &Path, loaded: &Loaded) -> String {
    format!(
        "{}: valid, {} and {}\n",
        file.display(),
        count(loaded.node.routers.len(), "instance"),
        count(loaded.node.trackers.len(), "tracker"),
    )
}

/// Prints why there is no configuration. A keepalived.conf has one mistake: its format.
fn explain(file: &Path, error: LoadError) -> Failed {
    if !is_foreign(file, &error) {
        return error.into();
    }
    let file = file.display();
    Failed::Configuration.reasons(format_args!(
        "{file}: this is a configuration of keepalived: `vrrpd convert {file} > {DEFAULT_CONFIGURATION}` converts it"
    ))
}

/// Whether a file is invalid because it is a configuration of keepalived.
fn is_foreign(file: &Path, error: &LoadError) -> bool {
    matches!(
        error,
        LoadError::Invalid { .. } | LoadError::Unusable { .. }
    ) && vrrp_config::read_lossy(file).is_ok_and(|text| is_keepalived(&text))
}

pub(crate) fn schema() -> Result<(), Failed> {
    print(&format!("{:#}\n", vrrp_config::schema()))
}
