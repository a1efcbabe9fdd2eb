//! Pages of docs/recipes: the tests run the files that a page shows, and compare with the times that it
//! promises.
//!
//! A line such as `` `/etc/haproxy/haproxy.cfg` on `lb1`: `` (or `on both hosts`) announces a file, and the
//! next fenced block is its content. The last cell of a table row is the longest outage, such as `3.7 s`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use vrrp_lab::{Error, Host, Result};

/// Directory of the pages.
const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/recipes");

/// Path of the daemon's configuration on every page.
const CONFIGURATION: &str = "/etc/vrrpd/config.json";

/// A page.
pub(crate) struct Page {
    pub(crate) name: String,
    text: String,
    files: Vec<PageFile>,
}

/// File that a page shows.
struct PageFile {
    path: String,
    /// Host of the file; `None` if both hosts have it.
    host: Option<String>,
    text: String,
}

impl Page {
    /// Reads docs/recipes/`name`.md.
    pub(crate) fn read(name: &str) -> Result<Self> {
        let path = format!("{PAGES}/{name}.md");
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::new(format!("reading {path}"), error))?;
        let files = files(&text);
        Ok(Self {
            name: name.to_owned(),
            text,
            files,
        })
    }

    /// Reads all pages, without the index.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let failed = |error| Error::new(format!("reading {PAGES}"), error);
        let mut pages = Vec::new();
        for entry in fs::read_dir(PAGES).map_err(failed)? {
            let file = entry.map_err(failed)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".md"));
            match name {
                Some("README") | None => {}
                Some(name) => pages.push(Self::read(name)?),
            }
        }
        Ok(pages)
    }

    /// Whether the page has a link to another one.
    pub(crate) fn links_to(&self, other: &Self) -> bool {
        self.text.contains(&format!("({}.md)", other.name))
    }

    /// Configurations of the daemon for all hosts of the page.
    pub(crate) fn configurations(&self) -> impl Iterator<Item = &str> {
        self.files
            .iter()
            .filter(|file| file.path == CONFIGURATION)
            .map(|file| &*file.text)
    }

    /// Configuration of the daemon on a host.
    pub(crate) fn configuration(&self, host: &str) -> Result<&str> {
        self.files_of(host)
            .find(|file| file.path == CONFIGURATION)
            .map(|file| &*file.text)
            .ok_or_else(|| self.error(format!("{CONFIGURATION} of {host}")))
    }

    /// Longest outage that the table of the page promises for a failure.
    pub(crate) fn bound(&self, failure: &str) -> Result<Duration> {
        let row = format!("| {failure} |");
        self.text
            .lines()
            .find(|line| line.starts_with(&row))
            .and_then(|line| line.trim_end_matches(['|', ' ']).rsplit_once("| "))
            .and_then(|(_, cell)| cell.strip_suffix(" s")?.parse().ok())
            .map(Duration::from_secs_f64)
            .ok_or_else(|| self.error(format!("a row `{row} ... | SECONDS s |`")))
    }

    /// Creates a host of the page, with all files that the page shows for it. They survive reboots.
    pub(crate) fn host(&self, name: &str) -> Result<Host> {
        let files: Vec<_> = self
            .files_of(name)
            .filter(|file| file.path != CONFIGURATION)
            .collect();
        // Directories of the host's own, so that the machine's files stay as they are.
        let mut disks: Vec<&str> = files.iter().map(|file| existing(&file.path)).collect();
        disks.sort_unstable();
        disks.dedup();
        let host = Host::with_disks(name, &disks)?;
        for file in files {
            // Uncovers and removes an entry of the host's directory, which is a bind mount of the machine's
            // file or a symbolic link to one.
            let path = &file.path;
            host.shell(&format!("umount -q {path}; rm -f {path}"))?;
            let is_program = path.starts_with("/usr/local/");
            let mode = if is_program { 0o755 } else { 0o644 };
            host.write(path, &file.text, mode)?;
            if path.starts_with("/etc/sysctl.d/") {
                host.shell(&format!("sysctl --quiet --load {path}"))?;
            }
        }
        Ok(host)
    }

    fn files_of(&self, host: &str) -> impl Iterator<Item = &PageFile> {
        self.files
            .iter()
            .filter(move |file| file.host.as_deref().is_none_or(|name| name == host))
    }

    fn error(&self, missing: String) -> Error {
        Error::new(format!("reading docs/recipes/{}.md", self.name), missing)
    }
}

/// Nearest directory above a path that exists.
fn existing(path: &str) -> &str {
    let mut path = Path::new(path);
    while let Some(parent) = path.parent() {
        if parent.is_dir() {
            return parent.to_str().unwrap_or("/");
        }
        path = parent;
    }
    "/"
}

/// The files that a text shows.
fn files(text: &str) -> Vec<PageFile> {
    let mut lines = text.lines();
    let mut files = Vec::new();
    while let Some(line) = lines.next() {
        let Some((path, host)) = announced(line) else {
            continue;
        };
        let block = lines
            .by_ref()
            .skip_while(|line| !line.starts_with("```"))
            .skip(1)
            .take_while(|line| *line != "```");
        let text: String = block.map(|line| format!("{line}\n")).collect();
        files.push(PageFile {
            path: path.to_owned(),
            host: host.map(str::to_owned),
            text,
        });
    }
    files
}

/// Path and host that a line announces.
fn announced(line: &str) -> Option<(&str, Option<&str>)> {
    let (path, rest) = line.strip_prefix('`')?.split_once("` on ")?;
    let host = rest.strip_suffix(':')?;
    if !path.starts_with('/') {
        return None;
    }
    if host == "both hosts" {
        return Some((path, None));
    }
    let host = host.strip_prefix('`')?.strip_suffix('`')?;
    Some((path, Some(host)))
}
