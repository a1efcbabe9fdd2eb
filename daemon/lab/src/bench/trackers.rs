//! Cost of a hundred trackers: CPU time of the daemon and, for scripts, of its child processes. One
//! instance on a separate host tracks all of them, and none fails.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::{Error, Host, Result, Segment};

use super::proc;
use super::subject::{Daemon, Kind};

/// Number of trackers.
pub(crate) const MANY: u16 = 100;

/// Time until each tracker has its first result.
const SETTLE: Duration = Duration::from_secs(3);

/// Port of the web server on the host.
const PORT: u16 = 8080;

/// Kind of the trackers, each with an interval of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// A program that only exits with status 0.
    Script,
    /// A ping of the host itself.
    Ping,
    /// A TCP connection to the host itself.
    Port,
    /// An HTTP request to the host itself.
    Page,
}

impl Watched {
    /// Name in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Ping => "ping",
            Self::Port => "tcp",
            Self::Page => "http",
        }
    }

    fn tracker(self) -> Value {
        match self {
            Self::Script => json!({ "script": { "command": ["/bin/true"] } }),
            Self::Ping => json!({ "ping": { "host": "127.0.0.1" } }),
            Self::Port => json!({ "tcp": { "host": "127.0.0.1", "port": PORT } }),
            Self::Page => json!({ "http": { "url": format!("http://127.0.0.1:{PORT}/") } }),
        }
    }
}

/// CPU time in microseconds per second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// CPU time of the daemon.
    pub(crate) own: f64,
    /// CPU time of the programs that it ran.
    pub(crate) children: f64,
}

/// Measures a daemon with [`MANY`] trackers for `span`.
pub(crate) fn measure(kind: Kind, watched: Watched, span: Duration) -> Result<Cost> {
    let host = Host::new("watcher")?;
    let segment = Segment::new("bench")?;
    let _cable = segment.attach(&host, "eth0", "10.77.0.251/24")?;
    serve(&host)?;
    match kind {
        Kind::Vrrpd => {
            let daemon = Vrrpd::start(&host, &vrrpd_config(watched))?;
            sleep(SETTLE);
            let results = || -> Result<u64> {
                let trackers = daemon.status()?.trackers;
                if let Some(down) = trackers.iter().find(|tracker| tracker.up != Some(true)) {
                    let detail = format!("{} is down: {}", down.name, down.detail);
                    return Err(Error::new("measuring the cost of trackers", detail));
                }
                Ok(trackers.iter().map(|tracker| tracker.results).sum())
            };
            let before = results()?;
            let cost = watch(&[daemon.process().pid()], span)?;
            let count = results()? - before;
            let expected = u64::from(MANY) * span.as_secs();
            if count < expected * 9 / 10 {
                let detail = format!("{count} results in {span:?} instead of {expected}");
                return Err(Error::new("measuring the cost of trackers", detail));
            }
            daemon.stop()?;
            Ok(cost)
        }
        Kind::Keepalived => {
            let daemon = Daemon::start_with(kind, &host, &keepalived_config())?;
            sleep(SETTLE);
            let own = daemon.output().len();
            let cost = watch(&daemon.processes(), span)?;
            let said = daemon.output().entries_from(own);
            if let Some(line) = said.iter().find(|line| line.text.contains("check")) {
                return Err(Error::new("measuring keepalived's scripts", &*line.text));
            }
            daemon.stop()?;
            Ok(cost)
        }
    }
}

fn watch(processes: &[u32], span: Duration) -> Result<Cost> {
    let read = || -> Result<(Instant, Duration, Duration)> {
        Ok((
            Instant::now(),
            proc::cpu_time(processes)?,
            proc::children_time(processes)?,
        ))
    };
    let before = read()?;
    sleep(span);
    let after = read()?;
    let seconds = (after.0 - before.0).as_secs_f64();
    let rate = |before, after: Duration| after.saturating_sub(before).as_secs_f64() * 1e6 / seconds;
    Ok(Cost {
        own: rate(before.1, after.1),
        children: rate(before.2, after.2),
    })
}

fn vrrpd_config(watched: Watched) -> String {
    let names = || (0..MANY).map(|number| format!("check{number}"));
    let trackers: serde_json::Map<String, Value> =
        names().map(|name| (name, watched.tracker())).collect();
    let track: Vec<Value> = names()
        .map(|name| json!({ "tracker": name, "weight": 1 }))
        .collect();
    json!({
        "trackers": trackers,
        "instances": { "VI_1": {
            "interface": "eth0",
            "virtualRouterId": 1,
            "track": track,
            "virtualAddresses": ["10.77.0.1/24"],
        } },
    })
    .to_string()
}

/// Builds the same configuration for keepalived, with scripts, its only comparable trackers.
fn keepalived_config() -> String {
    let names = || (0..MANY).map(|number| format!("check{number}"));
    let scripts: String = names()
        .map(|name| {
            format!("vrrp_script {name} {{\n  script \"/bin/true\"\n  interval 1\n  weight 1\n}}\n")
        })
        .collect();
    let track: String = names().map(|name| format!("    {name}\n")).collect();
    format!(
        "global_defs {{\n  router_id bench\n  vrrp_version 3\n  script_user root\n}}\n{scripts}\
         vrrp_instance VI_1 {{\n  interface eth0\n  virtual_router_id 1\n  advert_int 1\n  \
         virtual_ipaddress {{\n    10.77.0.1/24\n  }}\n  track_script {{\n{track}  }}\n}}\n"
    )
}

/// Starts a web server on the host, on a thread of the lab: its CPU time is not the daemon's.
fn serve(host: &Host) -> Result<()> {
    let listener = host
        .run(|| TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)))
        .map_err(|error| Error::new("starting a web server", error))?;
    std::thread::Builder::new()
        .name("web server".to_owned())
        .spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // Errors are ignored: a TCP probe connects and sends no request.
                let _ = answer(stream);
            }
        })
        .map_err(|error| Error::new("starting a web server", error))?;
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut line = String::new();
    let mut request = BufReader::new(stream.try_clone()?);
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nup\n")
}
