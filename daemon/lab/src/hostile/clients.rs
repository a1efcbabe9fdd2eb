//! Hostile clients of the daemon's sockets, on the daemon's host: requests, rubbish, and connections that end early.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use vrrp_lab::{Error, Host, Moment, Result};

/// Number of clients at a time.
const CLIENTS: usize = 32;

const CONTROL: &str = "/run/vrrpd/control.sock";
const COMMAND: &str = "/run/vrrpd/command.sock";

/// Longest wait of a client. Most clients do not wait.
const PATIENCE: Duration = Duration::from_millis(200);

/// Running clients.
#[derive(Debug)]
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    begun: Moment,
    threads: Vec<JoinHandle<Result<u32>>>,
}

impl Clients {
    /// Starts the clients on a host.
    pub(crate) fn start(host: &Host) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |number| {
            let stop = Arc::clone(&stop);
            host.thread(move || {
                (number..)
                    .take_while(|_| !stop.load(Ordering::Relaxed))
                    .fold(0_u32, |connections, turn| {
                        connections + u32::from(disturb(turn).is_ok())
                    })
            })
        };
        Ok(Self {
            threads: (0..CLIENTS).map(client).collect::<Result<_>>()?,
            begun: Moment::now(),
            stop,
        })
    }

    /// Ends the clients and returns the number of connections per second.
    pub(crate) fn stop(self) -> Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut connections = 0.0;
        let panicked = |_| Err(Error::new("disturbing the sockets", "a client panicked"));
        for thread in self.threads {
            connections += f64::from(thread.join().unwrap_or_else(panicked)?);
        }
        Ok(connections / self.begun.elapsed().as_secs_f64())
    }
}

/// Makes one connection, of a kind that depends on the turn.
fn disturb(turn: usize) -> std::io::Result<()> {
    let rubbish = [0xff; 16 << 10];
    let mut first = [0; 64];
    let (path, request): (&str, &[u8]) = match turn % 5 {
        0 => (COMMAND, b"{\"drain\":"),
        1 => (COMMAND, b"{}\n"),
        2 => (COMMAND, &rubbish),
        3 => (CONTROL, b""),
        _ => (CONTROL, &rubbish),
    };
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // The daemon may have closed the connection already.
    let _ = stream.write_all(request);
    // Most clients leave after the first bytes of the answer; some keep the connection until the daemon ends it.
    let _ = stream.read(&mut first);
    if turn.is_multiple_of(97) {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    Ok(())
}
