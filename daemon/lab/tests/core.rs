//! Tests of the lab's core: hosts, cables, power, processes and observers.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use vrrp_lab::harness::{Outcome, run};
use vrrp_lab::{
    Client, Filter, Frame, Host, Impairment, Moment, Process, Result, Segment, Signal, held_twice,
};

const SOON: Duration = Duration::from_secs(5);
const LEFT: &str = "192.168.224.11";
const RIGHT: &str = "192.168.224.12";
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 224, 100));

fn main() -> ExitCode {
    run(&[
        ("hosts reach each other", hosts_reach_each_other),
        (
            "a pulled cable takes the carrier",
            a_pulled_cable_takes_the_carrier,
        ),
        ("a one way cut cuts one way", a_one_way_cut_cuts_one_way),
        (
            "a slow cable delays both ways",
            a_slow_cable_delays_both_ways,
        ),
        (
            "a lossy cable loses its share",
            a_lossy_cable_loses_its_share,
        ),
        (
            "tcp with offloads survives a bad cable",
            tcp_with_offloads_survives_a_bad_cable,
        ),
        (
            "power off kills what daemonised",
            power_off_kills_what_daemonised,
        ),
        (
            "a reboot forgets added addresses and run",
            a_reboot_forgets_added_addresses_and_run,
        ),
        (
            "shut down lets processes finish",
            shut_down_lets_processes_finish,
        ),
        (
            "shut down ends what starts meanwhile",
            shut_down_ends_what_starts_meanwhile,
        ),
        ("a process is watched", a_process_is_watched),
        ("disks are the host's own", disks_are_the_hosts_own),
        (
            "a macvlan is held down and keeps its addresses",
            a_macvlan_is_held_down_and_keeps_its_addresses,
        ),
        ("addresses are watched", addresses_are_watched),
        ("a capture sees arp in order", a_capture_sees_arp_in_order),
        (
            "the client measures an outage",
            the_client_measures_an_outage,
        ),
        (
            "a check script starts the web server again",
            a_check_script_starts_the_web_server_again,
        ),
    ])
}

fn hosts_reach_each_other() -> Outcome {
    let pair = Pair::new()?;
    let echo = pair.right.run(|| TcpListener::bind((RIGHT, 7000)))?;
    let mut caller = pair.left.run(|| TcpStream::connect((RIGHT, 7000)))?;
    caller.write_all(b"hello")?;
    let (mut called, from) = echo.accept()?;
    let mut word = [0; 5];
    called.read_exact(&mut word)?;
    assert_eq!((&word, from.ip().to_string()), (b"hello", LEFT.to_owned()));
    assert_eq!(
        pair.left
            .shell("hostname; cat /proc/1/comm")?
            .lines()
            .next(),
        Some("left")
    );
    Ok(())
}

fn a_pulled_cable_takes_the_carrier() -> Outcome {
    let pair = Pair::new()?;
    let up = || -> Result<bool> { Ok(pair.left.shell("ip link show ens33")?.contains("LOWER_UP")) };
    assert!(up()? && pair.round_trip(SOON)?.is_some());
    // Measured from the right, which keeps its neighbour entry: the left would send its next ARP request
    // only a second later.
    let start = Instant::now();
    pair.left_cable.pull()?;
    assert!(!up()?);
    assert_eq!(pair.arrives_at_left(1)?, 0);
    pair.left_cable.plug()?;
    assert!(up()?);
    assert_eq!(pair.arrives_at_left(1)?, 1);
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "took {:?}",
        start.elapsed()
    );
    Ok(())
}

fn a_one_way_cut_cuts_one_way() -> Outcome {
    let pair = Pair::new()?;
    assert!(pair.round_trip(SOON)?.is_some());
    pair.left_cable.set(Impairment::mute())?;
    assert_eq!(pair.arrives_at_right(20)?, 0);
    assert_eq!(pair.arrives_at_left(20)?, 20);
    pair.left_cable.set(Impairment::deaf())?;
    assert_eq!(pair.arrives_at_right(20)?, 20);
    assert_eq!(pair.arrives_at_left(20)?, 0);
    pair.left_cable.set(Impairment::default())?;
    assert!(pair.round_trip(SOON)?.is_some());
    Ok(())
}

fn a_slow_cable_delays_both_ways() -> Outcome {
    let pair = Pair::new()?;
    pair.left_cable
        .set(Impairment::delay(Duration::from_millis(20)))?;
    // The fastest of several round trips counts, because the machine may be busy.
    let mut slow = Duration::MAX;
    for _ in 0..8 {
        slow = slow.min(pair.round_trip(SOON)?.ok_or("no answer")?);
    }
    let bounds = Duration::from_millis(40)..Duration::from_millis(46);
    assert!(bounds.contains(&slow), "the round trip took {slow:?}");
    Ok(())
}

fn a_lossy_cable_loses_its_share() -> Outcome {
    let pair = Pair::new()?;
    assert!(pair.round_trip(SOON)?.is_some());
    pair.left_cable.set(Impairment::loss(0.5, 1))?;
    let half = pair.arrives_at_right(400)?;
    assert!((150..250).contains(&half), "{half} of 400 arrived");
    pair.left_cable.set(Impairment::loss(1.0, 1))?;
    assert_eq!(pair.arrives_at_right(50)?, 0);
    Ok(())
}

fn tcp_with_offloads_survives_a_bad_cable() -> Outcome {
    let pair = Pair::new()?;
    pair.left_cable
        .set(Impairment::delay(Duration::from_millis(1)))?;
    let listener = pair.right.run(|| TcpListener::bind((RIGHT, 7000)))?;
    let sent: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    let data = sent.clone();
    let sender = pair
        .left
        .thread(move || TcpStream::connect((RIGHT, 7000))?.write_all(&data))?;
    let mut received = Vec::new();
    listener.accept()?.0.read_to_end(&mut received)?;
    sender.join().map_err(|_| "the sender panicked")???;
    assert!(received == sent);
    Ok(())
}

fn power_off_kills_what_daemonised() -> Outcome {
    let pair = Pair::new()?;
    // A duration that no other process on the machine sleeps for, so that the process can be found.
    let shell = spawn(
        &pair.left,
        &["sh", "-c", "setsid sleep 86123 & echo $!; exec sleep 86124"],
    )?;
    shell.wait_for_line(|line| !line.is_empty(), SOON)?;
    assert_eq!(pair.left.shell("pgrep -c -f 'sleep 8612[34]'")?.trim(), "2");
    let start = Instant::now();
    pair.left.power_off()?;
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "took {:?}",
        start.elapsed()
    );
    assert!(!shell.is_running() || shell.wait(SOON).is_ok());
    assert!(
        !processes()?
            .iter()
            .any(|line| line.contains("86123") || line.contains("86124"))
    );
    assert!(pair.left.spawn(Command::new("true")).is_err());
    assert!(pair.left.addresses("ens33")?.is_empty());
    pair.left.power_on()?;
    assert!(pair.round_trip(SOON)?.is_some());
    Ok(())
}

fn a_reboot_forgets_added_addresses_and_run() -> Outcome {
    let pair = Pair::new()?;
    pair.left.add_address("ens33", VIP, 24)?;
    pair.left.write("/run/httpd/httpd.pid", "1", 0o644)?;
    pair.left
        .shell("ip link add dummy7 link ens33 type macvlan")?;
    assert!(pair.left.holds(VIP)? && !pair.right.holds(VIP)?);
    assert_eq!(pair.left.shell("cat /var/run/httpd/httpd.pid")?, "1");
    assert!(pair.right.shell("cat /run/httpd/httpd.pid").is_err());
    let watch = pair.left.watch_addresses()?;
    let before = Moment::now();
    pair.left.power_off()?;
    let gone = watch
        .events()
        .wait_for(|event| event.address == VIP && !event.added, SOON)
        .ok_or("the address was not deleted")?;
    assert!(
        gone.at.since(before) < Duration::from_millis(50),
        "{:?}",
        gone.at.since(before)
    );
    pair.left.power_on()?;
    assert!(!pair.left.holds(VIP)?);
    assert!(pair.left.shell("ip link show dummy7").is_err());
    assert!(pair.left.addresses("ens33")?.contains(&(LEFT.parse()?, 24)));
    assert!(pair.left.shell("cat /run/httpd/httpd.pid").is_err());
    Ok(())
}

fn a_macvlan_is_held_down_and_keeps_its_addresses() -> Outcome {
    const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];
    let pair = Pair::new()?;
    pair.left.add_macvlan("vrrp51", "ens33", MAC)?;
    pair.left.add_address("vrrp51", VIP, 24)?;
    assert_eq!(pair.left.mac("vrrp51")?, MAC);
    assert!(!pair.left.is_running("vrrp51")? && pair.left.is_running("ens33")?);
    pair.left.shell("ip link set vrrp51 protodown off")?;
    assert!(pair.left.is_running("vrrp51")?);
    assert_eq!(pair.left.addresses("vrrp51")?, [(VIP, 24)]);
    // A host without power holds no address on any interface.
    pair.left.power_off()?;
    assert!(!pair.left.holds(VIP)?);
    Ok(())
}

fn shut_down_lets_processes_finish() -> Outcome {
    let pair = Pair::new()?;
    let script =
        "trap 'sleep 0.1; echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let polite = spawn(&pair.left, &["sh", "-c", script])?;
    polite.wait_for_line(|line| line == "ready", SOON)?;
    let start = Instant::now();
    pair.left.shut_down(SOON)?;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "took {:?}",
        start.elapsed()
    );
    assert_eq!(polite.wait(SOON)?.code(), Some(3));
    polite.wait_for_line(|line| line == "bye", SOON)?;
    assert!(!pair.left.is_on());
    Ok(())
}

fn shut_down_ends_what_starts_meanwhile() -> Outcome {
    let pair = Pair::new()?;
    let script = "trap 'sleep 0.1; setsid sleep 86125 & exit' TERM; echo ready; while :; do sleep 0.05; done";
    let stubborn = spawn(&pair.left, &["sh", "-c", script])?;
    stubborn.wait_for_line(|line| line == "ready", SOON)?;
    let start = Instant::now();
    pair.left.shut_down(SOON)?;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "took {:?}",
        start.elapsed()
    );
    Ok(())
}

fn a_process_is_watched() -> Outcome {
    let host = Host::new("alone")?;
    let cat = spawn(
        &host,
        &["sh", "-c", "echo out; echo err >&2; exec sleep 100"],
    )?;
    cat.wait_for_line(|line| line == "err", SOON)?;
    assert_eq!(cat.log(), "out\nerr\n");
    assert!(cat.is_running() && cat.wait(Duration::from_millis(20)).is_err());
    assert!(
        cat.wait_for_line(|line| line == "never", Duration::from_millis(20))
            .is_err()
    );
    cat.kill(Signal::SIGKILL)?;
    assert!(!cat.wait(SOON)?.success());
    assert!(cat.kill(Signal::SIGKILL).is_err());
    assert_eq!(host.exec(&["sh", "-c", "exit 7"])?.status.code(), Some(7));
    assert!(host.spawn(Command::new("/does/not/exist")).is_err());
    Ok(())
}

fn disks_are_the_hosts_own() -> Outcome {
    let host = Host::with_disks("alone", &["/usr/local"])?;
    host.write("/usr/local/httpd.sh", "#!/bin/sh\necho checked\n", 0o755)?;
    assert_eq!(host.shell("/usr/local/httpd.sh")?, "checked\n");
    host.power_off()?;
    host.power_on()?;
    assert_eq!(host.shell("/usr/local/httpd.sh")?, "checked\n");
    assert!(!std::path::Path::new("/usr/local/httpd.sh").exists());
    assert!(host.shell("ls -d /usr/local/bin").is_ok());
    Ok(())
}

fn addresses_are_watched() -> Outcome {
    let pair = Pair::new()?;
    pair.left.add_address("ens33", VIP, 24)?;
    let (left, right) = (pair.left.watch_addresses()?, pair.right.watch_addresses()?);
    let before = Moment::now();
    pair.right.add_address("ens33", VIP, 24)?;
    let came = right
        .events()
        .wait_for(|event| event.address == VIP && event.added, SOON)
        .ok_or("the address was not added")?;
    assert_eq!((came.interface.as_str(), came.prefix), ("ens33", 24));
    assert!(came.at >= before && came.at.since(before) < Duration::from_millis(50));
    pair.left.delete_address("ens33", VIP)?;
    let went = left
        .events()
        .wait_for(|event| event.address == VIP && !event.added, SOON)
        .ok_or("the address was not deleted")?;
    assert_eq!(
        held_twice(&[&left, &right], VIP),
        [(came.at, Some(went.at))]
    );
    assert!(!left.lost_events() && !right.lost_events());
    Ok(())
}

fn a_capture_sees_arp_in_order() -> Outcome {
    let pair = Pair::new()?;
    let segment = pair.lan.capture(Filter::arp())?;
    let card = pair.right.capture("ens33", Filter::all())?;
    let before = Moment::now();
    assert!(pair.round_trip(SOON)?.is_some());
    let after = Moment::now();
    let request = segment
        .frames()
        .wait_for(|frame| frame.payload()[7] == 1, SOON)
        .ok_or("no ARP request")?;
    let reply = segment
        .frames()
        .wait_for(|frame| frame.payload()[7] == 2, SOON)
        .ok_or("no ARP reply")?;
    assert_eq!(request.destination(), [0xff; 6]);
    assert_eq!(request.source(), pair.left.mac("ens33")?);
    assert_eq!(reply.source(), pair.right.mac("ens33")?);
    assert!(before < request.at && request.at < reply.at && reply.at < after);
    let answer = |frame: &Frame| frame.outgoing && frame.ethertype() == reply.ethertype();
    let outgoing = card.frames().wait_for(answer, SOON).ok_or("nothing sent")?;
    assert_eq!(outgoing.bytes, reply.bytes);
    let file = std::env::temp_dir().join(format!("vrrp-lab-{}.pcap", std::process::id()));
    card.write_pcap(&file)?;
    let dissected = Command::new("tshark").arg("-r").arg(&file).output();
    std::fs::remove_file(&file)?;
    let text = String::from_utf8_lossy(&dissected?.stdout).into_owned();
    assert!(
        text.contains(&format!("Who has {RIGHT}? Tell {LEFT}")),
        "{text}"
    );
    Ok(())
}

fn the_client_measures_an_outage() -> Outcome {
    let pair = Pair::new()?;
    let httpd = web_server(&pair.left)?;
    let client = pair.right.client(LEFT.parse()?)?;
    client.wait_for("left", SOON)?;
    let start = Moment::now();
    httpd.kill(Signal::SIGKILL)?;
    httpd.wait(SOON)?;
    let killed = Moment::now();
    client.asks().wait_from(
        client.asks().len(),
        |ask| ask.asked > killed + Duration::from_millis(300),
        SOON,
    );
    let httpd = web_server(&pair.left)?;
    let back = client.wait_for("left", SOON)?;
    let outage = client.outage(start, back);
    let true_outage = back.since(start);
    assert!(outage > Duration::from_millis(300), "{outage:?}");
    assert!(
        true_outage - outage < Duration::from_millis(60),
        "{outage:?} of {true_outage:?}"
    );
    assert_eq!(client.served_by(back).as_deref(), Some("left"));

    // A host without power does not answer, and the client keeps its rate of requests.
    let before = Moment::now();
    pair.left.power_off()?;
    assert!(!httpd.is_running() || httpd.wait(SOON).is_ok());
    std::thread::sleep(Duration::from_millis(500));
    let gone = Moment::now();
    let asked = client
        .asks()
        .entries()
        .iter()
        .filter(|ask| ask.asked > before)
        .count();
    assert!(asked > 25, "{asked} requests in 0.5 s");
    assert!(client.outage(before, gone) > Duration::from_millis(480));
    pair.left.power_on()?;
    let _httpd = web_server(&pair.left)?;
    client.wait_for("left", SOON)?;
    Ok(())
}

fn a_check_script_starts_the_web_server_again() -> Outcome {
    let pair = Pair::new()?;
    let exe = vrrp_lab::exe()?;
    let script = format!(
        "#!/bin/sh\n[ -e /var/run/httpd/httpd.pid ] || {} __httpd --name left \
         --pid-file /run/httpd/httpd.pid --listen 0.0.0.0:80 --daemon\n",
        exe.display()
    );
    pair.left.write("/run/check.sh", script, 0o755)?;
    let client: Client = pair.right.client(LEFT.parse()?)?;
    pair.left.shell("/run/check.sh")?;
    client.wait_for("left", SOON)?;
    pair.left.shell("kill $(cat /run/httpd/httpd.pid)")?;
    pair.left
        .shell("while [ -e /run/httpd/httpd.pid ]; do sleep 0.01; done; /run/check.sh")?;
    client.wait_for("left", SOON)?;
    Ok(())
}

/// Two hosts on one segment.
struct Pair {
    lan: Segment,
    left: Host,
    right: Host,
    left_cable: vrrp_lab::Cable,
}

impl Pair {
    fn new() -> Result<Self> {
        let lan = Segment::new("lan")?;
        let (left, right) = (Host::new("left")?, Host::new("right")?);
        let left_cable = lan.attach(&left, "ens33", &format!("{LEFT}/24"))?;
        lan.attach(&right, "ens33", &format!("{RIGHT}/24"))?;
        Ok(Self {
            lan,
            left,
            right,
            left_cable,
        })
    }

    /// Measures the round trip of a datagram from left to right and back; `None` if it is lost.
    fn round_trip(&self, patience: Duration) -> Result<Option<Duration>, std::io::Error> {
        let (left, right) = self.sockets(patience)?;
        let start = Instant::now();
        if left.send_to(b"?", right.local_addr()?).is_err() {
            return Ok(None);
        }
        let mut byte = [0];
        let Ok((_, from)) = right.recv_from(&mut byte) else {
            return Ok(None);
        };
        if right.send_to(b"!", from).is_err() {
            return Ok(None);
        }
        Ok(left.recv_from(&mut byte).is_ok().then(|| start.elapsed()))
    }

    fn arrives_at_right(&self, count: usize) -> Result<usize, std::io::Error> {
        let (left, right) = self.sockets(Duration::from_millis(100))?;
        arrives(&left, &right, count)
    }

    fn arrives_at_left(&self, count: usize) -> Result<usize, std::io::Error> {
        let (left, right) = self.sockets(Duration::from_millis(100))?;
        arrives(&right, &left, count)
    }

    fn sockets(&self, patience: Duration) -> Result<(UdpSocket, UdpSocket), std::io::Error> {
        let open = |host: &Host, address: &str| {
            let socket = host.run(|| UdpSocket::bind((address, 0)))?;
            socket.set_read_timeout(Some(patience))?;
            Ok::<_, std::io::Error>(socket)
        };
        Ok((open(&self.left, LEFT)?, open(&self.right, RIGHT)?))
    }
}

fn arrives(from: &UdpSocket, to: &UdpSocket, count: usize) -> Result<usize, std::io::Error> {
    for _ in 0..count {
        from.send_to(b".", to.local_addr()?)?;
    }
    let mut arrived = 0;
    while arrived < count && to.recv_from(&mut [0]).is_ok() {
        arrived += 1;
    }
    Ok(arrived)
}

fn spawn(host: &Host, command: &[&str]) -> Result<Process> {
    let mut process = Command::new(command[0]);
    process.args(&command[1..]);
    host.spawn(process)
}

fn web_server(host: &Host) -> Result<Process> {
    let mut httpd = Command::new(vrrp_lab::exe()?);
    httpd.args(["__httpd", "--name", host.name(), "--listen", "0.0.0.0:80"]);
    let httpd = host.spawn(httpd)?;
    httpd.wait_for_line(|line| line.contains("listening"), SOON)?;
    Ok(httpd)
}

/// Command lines of all processes on the machine that are visible in the lab.
fn processes() -> Result<Vec<String>, std::io::Error> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        lines.extend(std::fs::read_to_string(entry?.path().join("cmdline")));
    }
    Ok(lines)
}
