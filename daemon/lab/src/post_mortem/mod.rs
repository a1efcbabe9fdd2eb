//! `vrrp-lab capture`: what happened to the virtual routers of a network, from a capture of its packets.
//!
//! `file` reads the packets of a pcap or pcapng file, `frame` their headers. `observation` turns them into plain
//! data, from which `analysis` concludes without any further input. `words` has the sentences; `text`, `json` and
//! `drawing` show them. `stamp` is the clock of the capture.

mod analysis;
mod drawing;
mod file;
mod frame;
mod json;
mod observation;
mod stamp;
mod text;
mod words;

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use vrrp_proto::Vrid;

use self::stamp::Stamp;
use crate::timeline::Timeline;

/// Exit status if the file cannot be read, or the page not be written.
const UNREADABLE: u8 = 2;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if nothing was wrong; 1 if something was, no advertisement was found, or FILE is damaged in the middle; \
    2 if FILE cannot be read.\n\n\
    Capture all packets that matter, whole, on a host of the network:\n    \
    tcpdump -i INTERFACE -w FILE 'proto 112 or arp or icmp6 or (vlan and (proto 112 or arp or icmp6))'"
)]
pub(crate) struct Options {
    /// Capture in the format pcap or pcapng: Ethernet, also with VLAN tags, Linux cooked (`-i any`), or raw IP.
    file: PathBuf,
    /// Shows only the virtual routers with this VRID.
    #[arg(long, value_name = "N", value_parser = vrid)]
    vrid: Option<Vrid>,
    /// Prints JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Writes a page with timelines: HTML in one file, without scripts.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// Analysed packets in memory, for the report of the experiments.
pub(crate) struct Packets {
    observations: observation::Observations,
    analysis: analysis::Analysis,
}

/// The traffic of one virtual router.
pub(crate) struct Traffic {
    /// Its timeline; the first lanes are those of `routers`.
    pub(crate) timeline: Timeline,
    pub(crate) routers: Vec<IpAddr>,
    /// Reasons of the changes of master, with their times since the beginning.
    reasons: Vec<(Duration, String)>,
}

impl Packets {
    /// Analyses Ethernet frames with their times in nanoseconds on any clock.
    pub(crate) fn of_frames<'a>(
        begin: u64,
        end: u64,
        frames: impl Iterator<Item = (u64, &'a [u8])>,
    ) -> Self {
        let frames = frames.map(|(at, bytes)| (Stamp(at), bytes));
        let observations = observation::observe_frames(Stamp(begin), Stamp(end), frames);
        let analysis = analysis::analyse(&observations, None);
        Self {
            observations,
            analysis,
        }
    }

    /// The traffic of the virtual router with a VRID.
    pub(crate) fn traffic(&self, vrid: Vrid) -> Option<Traffic> {
        let mut all = self.analysis.virtual_routers.iter();
        let router = all.find(|router| router.key.vrid == vrid)?;
        let begin = self.observations.begin;
        let reasons = router.reigns.iter();
        Some(Traffic {
            timeline: drawing::timeline(router, &self.observations),
            routers: router.routers.iter().map(|one| one.address).collect(),
            reasons: reasons
                .map(|reign| (reign.first().since(begin), words::beginning(reign)))
                .collect(),
        })
    }
}

impl Traffic {
    /// Sentences about the changes of master between two times.
    pub(crate) fn sentences(&self, from: Duration, to: Duration) -> Vec<String> {
        let within = self
            .reasons
            .iter()
            .filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, sentence)| sentence.clone()).collect()
    }
}

/// Analyses a capture and prints the result.
pub(crate) fn run(options: &Options) -> ExitCode {
    let (facts, seen) = match observation::observe(&options.file) {
        Ok(observed) => observed,
        Err(error) => return unreadable(&error.to_string()),
    };
    let analysis = analysis::analyse(&seen, options.vrid);
    let text = if options.json {
        format!("{:#}\n", json::render(&facts, &analysis))
    } else {
        text::render(&options.file, &facts, &analysis)
    };
    // A closed pipe is no fault of the capture.
    let _ = io::stdout().write_all(text.as_bytes());
    if let Some(page) = &options.report
        && let Err(error) = drawing::write(page, &options.file, &facts, &seen, &analysis)
    {
        return unreadable(&format!("{}: {error}", page.display()));
    }
    let is_damaged = facts.broken.is_some() && !facts.is_cut;
    if analysis.has_problem() || analysis.virtual_routers.is_empty() || is_damaged {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn unreadable(reason: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "vrrp-lab capture: {reason}");
    ExitCode::from(UNREADABLE)
}

fn vrid(text: &str) -> Result<Vrid, String> {
    let number = text.parse().ok().and_then(Vrid::new);
    number.ok_or_else(|| "a VRID is a number from 1 to 255".to_owned())
}
