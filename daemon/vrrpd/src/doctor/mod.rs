//! `vrrpd doctor`: examines this host and its network before the first night. It needs no daemon and changes
//! nothing.
//!
//! [`read`] and [`listen`] collect [`facts`], [`judge`] turns them into [`finding`]s; only the first two know the
//! kernel. `docs/doctor.md` describes the checks.

mod facts;
mod finding;
mod firewall;
mod judge;
mod listen;
mod read;

use std::process::ExitCode;

use serde_json::json;
use vrrp_config::{LoadError, Loaded, Secrets, load};

use self::finding::{Finding, Severity};
use self::judge::Examined;
use crate::cli::DoctorOptions;
use crate::text::count;
use crate::{Failed, print};

/// Exit status if nothing could be examined, as after an error that was found.
const UNABLE: u8 = Severity::Error as u8;

/// Examines the host. The exit status is for monitoring: 0 without findings, 1 after warnings, 2 after errors.
pub(crate) fn doctor(options: &DoctorOptions) -> ExitCode {
    match examine(options) {
        Ok(worst) => ExitCode::from(worst.map_or(0, |severity| severity as u8)),
        Err(Failed::General | Failed::Configuration) => ExitCode::from(UNABLE),
    }
}

/// Returns the severity of the worst finding.
fn examine(options: &DoctorOptions) -> Result<Option<Severity>, Failed> {
    let (loaded, has_secrets) = configuration(options)?;
    options.place.enter()?;
    let Loaded { node, warnings, .. } = loaded;
    let mut facts = read::facts(&node);
    let duration = listen::duration(&node);
    let mut findings: Vec<Finding> = warnings
        .iter()
        .map(|warning| Finding {
            severity: Severity::Warning,
            check: "configuration",
            instance: String::new(),
            text: warning.to_string(),
            remedy: format!(
                "change {}, or leave it if it is meant",
                options.configuration.file.display()
            ),
        })
        .collect();
    if facts.missing_rights.is_none()
        && let Err(error) = listen::listen(&node, &mut facts, duration)
    {
        findings.push(Finding {
            severity: Severity::Warning,
            check: "network",
            instance: String::new(),
            text: format!("the network was not examined: {error}"),
            remedy: "run vrrpd doctor as root in the network namespace of the daemon".to_owned(),
        });
    }
    findings.extend(judge::judge(Examined {
        params: &node,
        facts: &facts,
        has_secrets,
    }));
    let worst = findings.iter().map(|finding| finding.severity).max();
    print(&match options.json {
        true => {
            let findings: Vec<_> = findings.iter().map(Finding::to_json).collect();
            format!("{:#}\n", json!({ "findings": findings }))
        }
        false => text(&findings, node.routers.len()),
    })?;
    Ok(worst)
}

/// Reads the configuration, and whether its secrets could be read, too. They may be credentials of the unit.
fn configuration(options: &DoctorOptions) -> Result<(Loaded, bool), Failed> {
    let file = &options.configuration.file;
    match load(file, Secrets::Read) {
        Ok(loaded) => Ok((loaded, true)),
        Err(LoadError::Secrets { .. }) => Ok((load(file, Secrets::Skip)?, false)),
        Err(error) => Err(error.into()),
    }
}

fn text(findings: &[Finding], instances: usize) -> String {
    let mut text: String = findings.iter().map(ToString::to_string).collect();
    let of = |severity| findings.iter().filter(|it| it.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    text.push_str(&format!(
        "{} examined: {}, {}\n",
        count(instances, "instance"),
        count(errors, "error"),
        count(warnings, "warning")
    ));
    text
}

#[cfg(test)]
mod tests;
