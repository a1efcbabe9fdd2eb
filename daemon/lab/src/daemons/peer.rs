//! Programs of the peers: those of the machine, or those of a Debian root that `.ci/peers` unpacks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::find_in_path;
use crate::error::Result;
use crate::host::Host;
use crate::process::Process;

/// Directory of FRR's daemons on Debian and other distributions. It is not in `$PATH`: one of the
/// programs is named vrrpd.
const FRR_DIRECTORY: &str = "usr/lib/frr";

/// Program of a peer.
#[derive(Clone, Debug)]
pub struct PeerProgram {
    path: PathBuf,
    /// Set if the program is not the machine's own.
    root: Option<Root>,
}

/// Debian root with all libraries of a program.
#[derive(Clone, Debug)]
struct Root {
    path: PathBuf,
    loader: PathBuf,
    /// Directory of the loader and of the libraries.
    libraries: PathBuf,
}

impl PeerProgram {
    /// keepalived: `$KEEPALIVED`, or that of the root `$LAB_PEERS`, or that of the machine.
    pub fn keepalived() -> Option<Self> {
        if let Some(path) = env::var_os("KEEPALIVED") {
            // Absolute, because hosts have another working directory.
            return Some(Self::of_the_machine(std::path::absolute(path).ok()?));
        }
        match env::var_os("LAB_PEERS") {
            Some(root) => Self::in_root(Path::new(&root), "usr/sbin/keepalived"),
            None => find_in_path("keepalived").map(Self::of_the_machine),
        }
    }

    /// FRR's vrrpd, if zebra is installed with it: that of the root `$LAB_PEERS`, or that of the
    /// machine.
    pub fn frr() -> Option<Self> {
        let vrrpd = format!("{FRR_DIRECTORY}/vrrpd");
        let vrrpd = match env::var_os("LAB_PEERS") {
            Some(root) => Self::in_root(Path::new(&root), &vrrpd)?,
            None => Self::of_the_machine(Path::new("/").join(vrrpd)),
        };
        let installed = vrrpd.path.is_file() && vrrpd.sibling("zebra").path.is_file();
        installed.then_some(vrrpd)
    }

    /// Another program in the directory of this one.
    pub(super) fn sibling(&self, name: &str) -> Self {
        Self {
            path: self.path.with_file_name(name),
            root: self.root.clone(),
        }
    }

    /// Path of a file or a directory of the program's root, if it has one.
    pub(super) fn of_root(&self, path: &str) -> Option<PathBuf> {
        let path = self.root.as_ref()?.path.join(path);
        path.exists().then_some(path)
    }

    /// Name of the program.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Starts the program on a host.
    ///
    /// # Errors
    /// If the host is off or the program cannot be started.
    pub fn start(&self, host: &Host, arguments: &[&str]) -> Result<Process> {
        let mut command = self.command();
        command.args(arguments);
        host.spawn_as(&self.name(), command)
    }

    /// Whether a keyword of the configuration occurs in the program. The version number is no sure
    /// sign, because a build may lack features.
    pub fn knows(&self, keyword: &str) -> bool {
        fs::read(&self.path).is_ok_and(|program| {
            program
                .windows(keyword.len())
                .any(|part| part == keyword.as_bytes())
        })
    }

    fn of_the_machine(path: PathBuf) -> Self {
        Self { path, root: None }
    }

    fn in_root(root: &Path, path: &str) -> Option<Self> {
        let path = root.join(path);
        path.is_file().then_some(Self {
            path,
            root: Some(Root::new(root)?),
        })
    }

    fn command(&self) -> Command {
        let Some(root) = &self.root else {
            return Command::new(&self.path);
        };
        // FRR has a directory of its own for its libraries.
        let mut search = OsString::from(&root.libraries);
        search.push(":");
        search.push(root.libraries.join("frr"));
        let mut command = Command::new(&root.loader);
        command.arg("--library-path").arg(search);
        command.arg("--argv0").arg(&self.path).arg(&self.path);
        command
    }
}

impl Root {
    /// Finds the loader in /usr/lib/ARCHITECTURE, where every architecture of Debian has it.
    fn new(path: &Path) -> Option<Self> {
        entries(&path.join("usr/lib")).find_map(|libraries| {
            let loader = entries(&libraries).find(|file| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("ld-linux") && name.contains(".so.")
            })?;
            Some(Self {
                path: path.to_owned(),
                loader,
                libraries,
            })
        })
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}
