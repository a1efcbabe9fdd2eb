//! Web server of the experiments, a process of a host, which answers with the host's name.
//!
//! It is this program, started as `__httpd --name NAME --pid-file FILE --listen ADDRESS`. With
//! `--daemon` it moves into the background once it listens, as a check script expects. SIGTERM ends
//! it and deletes the PID file; SIGKILL leaves the file, as with any server.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::setsid;

/// Hidden subcommand that runs the web server.
pub(crate) const HTTPD: &str = "__httpd";

/// Time limit for a client's request.
const PATIENCE: Duration = Duration::from_millis(500);

struct Options {
    name: String,
    pid_file: Option<PathBuf>,
    listen: String,
    daemon: bool,
}

/// Runs the web server and exits.
pub(crate) fn main(arguments: Vec<String>) -> ! {
    let result = parse(&arguments).and_then(|options| {
        if options.daemon {
            into_background(&arguments)
        } else {
            serve(&options)
        }
    });
    let code = match result {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "httpd: {error}");
            1
        }
    };
    process::exit(code)
}

fn parse(arguments: &[String]) -> io::Result<Options> {
    let mut options = Options {
        name: String::new(),
        pid_file: None,
        listen: "0.0.0.0:80".to_owned(),
        daemon: false,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--daemon" {
            options.daemon = true;
            continue;
        }
        let value = words
            .next()
            .ok_or_else(|| io::Error::other(format!("option {word} needs a value")))?;
        match word.as_str() {
            "--name" => options.name.clone_from(value),
            "--pid-file" => options.pid_file = Some(PathBuf::from(value)),
            "--listen" => options.listen.clone_from(value),
            _ => return Err(io::Error::other(format!("unknown option {word}"))),
        }
    }
    Ok(options)
}

/// Starts the server again in a new session and waits until it listens.
fn into_background(arguments: &[String]) -> io::Result<()> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg(HTTPD)
        .args(arguments.iter().filter(|word| *word != "--daemon"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = server
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("the server has no standard output"))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::other(format!(
            "the server did not start: {}",
            server.wait()?
        )));
    }
    Ok(())
}

fn serve(options: &Options) -> io::Result<()> {
    // Blocked before the threads start: they inherit the mask, and only the `wait` below receives
    // the signal.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block()?;
    // Fails if the process is a group leader already, which has the same effect.
    let _ = setsid();
    let listener = TcpListener::bind(&options.listen)?;
    if let Some(file) = &options.pid_file {
        write_pid(file)?;
    }
    let name = options.name.clone();
    let listening = listener.try_clone()?;
    thread::Builder::new()
        .name("accept".to_owned())
        .spawn(move || accept(&listener, &name))?;
    writeln!(io::stdout(), "listening on {}", options.listen)?;
    io::stdout().flush()?;
    signals.wait()?;
    // Before the PID file is deleted: a check script would otherwise start a server while the port
    // is in use.
    shutdown(listening.as_raw_fd(), Shutdown::Read)?;
    if let Some(file) = &options.pid_file {
        fs::remove_file(file)?;
    }
    Ok(())
}

fn write_pid(file: &Path) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(file, format!("{}\n", process::id()))
}

fn accept(listener: &TcpListener, name: &str) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                let name = name.to_owned();
                // A thread per client: a silent client must not delay the next one.
                let _ = thread::Builder::new().spawn(move || answer(&stream, &name));
            }
            // EINVAL: the socket was shut down, see `serve`. Other errors concern one client only.
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => return,
            Err(_) => {}
        }
    }
}

fn answer(stream: &TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut request = BufReader::new(stream.take(8192));
    let mut line = String::new();
    while request.read_line(&mut line)? > 0 && line != "\r\n" && line != "\n" {
        line.clear();
    }
    let length = name.len() + 1;
    let mut stream = stream;
    stream.write_all(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{name}\n"
        )
        .as_bytes(),
    )
}
