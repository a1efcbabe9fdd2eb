//! Messages about invalid configurations: every problem with its path and the remedy.

use insta::assert_snapshot;

fn problems(text: &str) -> String {
    match vrrp_config::parse(text) {
        Ok(_) => "no problem".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

/// Returns the problems of a configuration with one instance that has `entries` besides the
/// required keys.
fn problems_of_instance(entries: &str) -> String {
    problems(&format!(
        r#"{{ "trackers": {{ "httpd": {{ "script": {{ "command": ["/bin/true"] }} }} }},
             "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51,
                                       "virtualAddresses": ["192.0.2.1/24"], {entries} }} }} }}"#
    ))
}

/// Returns the problems of a configuration with one script that has `entries`.
fn problems_of_script(entries: &str) -> String {
    problems(&format!(
        r#"{{ "trackers": {{ "t": {{ "script": {{ {entries} }} }} }} }}"#
    ))
}

/// Returns the problems of a configuration with one instance that has `entries` and these
/// addresses.
fn problems_of_addresses(entries: &str, addresses: &str) -> String {
    problems(&format!(
        r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, {entries}
                                       "virtualAddresses": [{addresses}] }} }} }}"#
    ))
}

#[test]
fn all_problems_are_reported_in_file_order() {
    assert_snapshot!(problems(include_str!("mistakes.json")), @r#"
    trackers.httpd_check.script.interval = "2 seconds": must be a number of seconds (1, 0.5) or a string with a unit ("100ms", "2s", "1m", "1h")
    trackers.relative.script.command[0] = "httpd.sh": the program must be an absolute path, like /usr/local/bin/check
    trackers.empty.script.command = []: must not be empty: the first element is the program
    trackers.peer.ping.hots: unknown key: did you mean "host"?
    trackers.peer.ping.hots: must be an address without a prefix, like 192.168.224.12 or fe80::12, or the name of a host, like "router2.example"
    instances.VI_1.virtualRouterId = 300: must be 1 to 255
    instances.VI_1.priority = 0: must be 1 to 254, or 255 if this host owns the addresses
    instances.VI_1.preempt = "yes": must be true or false, not a string
    instances.VI_1.authentication: VRRP version 3 has no password (RFC 9568 section 9): use "hmac", leave it out, or write "version": 2
    instances.VI_1.track[0] = "httpd_chek": there is no such tracker: did you mean "httpd_check"?
    instances.VI_1.track[1].weight = 0: must be -253 to 253 and not 0; leave it out for a fault while the tracker is down
    instances.VI_1.virtualAddresses[0] = "192.168.224.100/33": the prefix length must be 1 to 32
    instances.VI_2.prioritty: unknown key: did you mean "priority"?
    instances.VI_2.advertInterval = 1.5: must be 1s to 255s in whole seconds with version 2; shorter intervals need version 3
    instances.VI_2.authentication.pass.password: must be 1 to 8 bytes long, this one is 9: keepalived sends the first 8 bytes of a longer one and ignores the rest; write those 8 to stay compatible with it
    instances.VI_3.virtualRouterId = 52: instances.VI_2 already uses this VRID on eth1: choose another, or move the addresses to that instance
    instances.VI_3.virtualAddresses[1] = "192.168.198.100/24": instances.VI_3.virtualAddresses[0] is the same address: keep one of them
    instances.VI_4.virtualRouterId: missing: write "virtualRouterId": 51, the number that all hosts of this virtual router share
    instances.VI_4.interface = "a-name-that-is-too-long": given twice in this object: keep one of them
    instances.VI_4.interface = "a-name-that-is-too-long": must be the name of an interface: 1 to 15 bytes; a longer one is an alternative name (altname), write the name that `ip link` shows first
    instances.VI_4.virtualAddresses[0] = "fe80::1/129": the prefix length must be 1 to 128
    syncGroups.VG_1.members[1] = "VI_22": there is no such instance: did you mean "VI_2"?
    "#);
}

#[test]
fn unknown_key_comes_with_suggestion() {
    assert_snapshot!(problems_of_instance(r#""prioritty": 100"#), @r#"instances.VI_1.prioritty: unknown key: did you mean "priority"?"#);
    assert_snapshot!(problems_of_instance(r#""advert_int": 1"#), @r#"instances.VI_1.advert_int: unknown key: did you mean "advertInterval"?"#);
    assert_snapshot!(problems_of_instance(r#""garpMasterDelay": 1"#), @r#"instances.VI_1.garpMasterDelay: unknown key: must be "state", "interface", "trackInterface", "virtualRouterId", "priority", "version", "advertInterval", "preempt", "preemptDelay", "startupDelay", "trustWire", "announce", "acceptMode", "authentication", "track", "notify", "virtualMac", "source", "unicast", "virtualAddresses", "routes", "rules", "lvsSyncInterface", "lvs" or "resources""#);
    assert_snapshot!(problems(r#"{ "instance": {} }"#), @r#"instance: unknown key: did you mean "instances"?"#);
    assert_snapshot!(problems(r#"{ "trackers": { "t": { "scrpt": {} } } }"#), @r#"
    trackers.t.script.command: missing: write "command": ["/path/to/program"]
    trackers.t.scrpt: unknown key: did you mean "script"?
    "#);
}

#[test]
fn delays_out_of_range_come_with_range() {
    assert_snapshot!(problems_of_instance(
        r#""preemptDelay": 1001, "startupDelay": "20m", "announce": { "burst": 0, "delay": "1h",
           "refresh": 0.1, "onLowerPriority": 1, "pace": 2000000, "repeat": 5 }"#
    ), @r#"
    instances.VI_1.preemptDelay = 1001: must be 0 to 1000s
    instances.VI_1.startupDelay = "20m": must be 0 to 1000s
    instances.VI_1.announce.burst = 0: must be 1 to 100
    instances.VI_1.announce.delay = "1h": must be 0 to 1000s
    instances.VI_1.announce.refresh = 0.1: must be 1s to 24h, or 0 for never
    instances.VI_1.announce.onLowerPriority = 1: must be true or false, not a number
    instances.VI_1.announce.pace = 2000000: must be 1 to 1000000 announcements per second, or 0 for no limit
    instances.VI_1.announce.repeat: unknown key: must be "burst", "delay", "refresh", "onLowerPriority" or "pace"
    "#);
    assert_snapshot!(problems_of_instance(r#""announce": 5"#), @"instances.VI_1.announce = 5: must be an object, not a number");
}

#[test]
fn invalid_group_members_are_reported() {
    let groups = |groups: &str| {
        problems(&format!(
            r#"{{ "trackers": {{ "t": {{ "interface": {{ "name": "eth1" }} }} }},
                 "instances": {{
                   "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": ["192.0.2.1/24"] }},
                   "VI_2": {{ "interface": "eth2", "virtualRouterId": 52, "virtualAddresses": ["192.0.2.2/24"] }},
                   "VI_3": {{ "interface": "eth2", "virtualRouterId": 53, "virtualAddresses": ["192.0.2.3/24"],
                              "priority": 255 }} }},
                 "syncGroups": {{ {groups} }} }}"#
        ))
    };
    assert_snapshot!(groups(r#""VG_1": { "members": ["VI_1", "VI_2"], "track": ["t"] }"#), @"no problem");
    assert_snapshot!(groups(r#""VG_1": { "members": ["VI_1"], "notify": { "master": ["told"], "timeout": 0 } }"#), @r#"
    syncGroups.VG_1.notify.master[0] = "told": the program must be an absolute path, like /usr/local/bin/check
    syncGroups.VG_1.notify.timeout = 0: must be 10ms to 10m
    "#);
    assert_snapshot!(groups(
        r#""VG_1": { "members": ["VI_1", "vi_2", "web", "VI_1"] },
           "VG_2": { "members": ["VI_1", "VI_3"] },
           "VG_3": { "members": [] },
           "VG_4": { "member": ["VI_2"] },
           "VG_5": { "members": "VI_2", "track": ["tt", { "tracker": "t", "weight": 0 }, "t"] }"#
    ), @r#"
    syncGroups.VG_1.members[1] = "vi_2": there is no such instance: did you mean "VI_2"?
    syncGroups.VG_1.members[2] = "web": there is no such instance: define it under "instances"
    syncGroups.VG_1.members[3] = "VI_1": syncGroups.VG_1.members[0] is the same instance: keep one of them
    syncGroups.VG_2.members[0] = "VI_1": syncGroups.VG_1.members[0] is the same instance: keep one of them
    syncGroups.VG_2.members[1] = "VI_3": VI_3 has priority 255 and always holds its addresses: give it another priority, or remove it from the group
    syncGroups.VG_3.members = []: must not be empty: list the instances of the group
    syncGroups.VG_4.member: unknown key: did you mean "members"?
    syncGroups.VG_5.members = "VI_2": must be a list, not a string; put it in [ ]
    syncGroups.VG_5.track[0] = "tt": there is no such tracker: did you mean "t"?
    syncGroups.VG_5.track[1].weight = 0: must be -253 to 253 and not 0; leave it out for a fault while the tracker is down
    syncGroups.VG_5.track[2] = "t": the group follows this tracker already: keep one of them
    "#);
}

/// Returns the problems of a configuration with one tracker.
fn problems_of_tracker(tracker: &str) -> String {
    problems(&format!(r#"{{ "trackers": {{ "t": {tracker} }} }}"#))
}

#[test]
fn route_tracker_problems_are_reported() {
    for right in [
        r#"{ "route": { "destination": "default" } }"#,
        r#"{ "route": { "destination": "10.0.0.0/8", "table": 100, "device": "eth1" } }"#,
        r#"{ "route": { "destination": "default", "gateway": "fe80::1", "neighbour": true, "rise": 2,
                        "fall": 3, "interval": "100ms", "timeout": "50ms" } }"#,
        r#"{ "route": { "destination": "10.0.0.0/8", "gateway": "fe80::1", "upDelay": 5 } }"#,
    ] {
        assert_eq!(problems_of_tracker(right), "no problem", "{right}");
    }
    assert_snapshot!(problems_of_tracker(r#"{ "route": {} }"#), @r#"trackers.t.route.destination: missing: write "destination": "default", or a network like "10.0.0.0/8""#);
    assert_snapshot!(problems_of_tracker(
        r#"{ "route": { "destination": "10.0.0.1/8", "table": 0, "gateway": "10.0.0.0/8", "neighbor": true } }"#
    ), @r#"
    trackers.t.route.destination = "10.0.0.1/8": has bits beyond its prefix: write 10.0.0.0/8 for the network, or a longer prefix
    trackers.t.route.table = 0: must be 1 to 4294967295; the table "main" is 254
    trackers.t.route.gateway = "10.0.0.0/8": must be an address without a prefix, like 192.168.224.11 or fe80::11
    trackers.t.route.neighbor: unknown key: did you mean "neighbour"?
    "#);
    assert_snapshot!(problems_of_tracker(
        r#"{ "route": { "destination": "2001:db8::/32", "gateway": "192.168.224.1", "neighbour": true,
                        "interval": 0, "timeout": "25h" } }"#
    ), @r#"
    trackers.t.route.gateway = "192.168.224.1": the destination is IPv6: the gateway must be of the same family
    trackers.t.route.interval = 0: must be 10ms to 24h
    trackers.t.route.timeout = "25h": must be 10ms to 24h
    "#);
    assert_snapshot!(problems_of_tracker(
        r#"{ "route": { "destination": "default", "interval": 1, "timeout": 1, "rise": 2, "fall": 2 } }"#
    ), @r#"
    trackers.t.route.interval = 1: applies to the probes of the gateway, which are off: write "neighbour": true, or leave it out
    trackers.t.route.timeout = 1: applies to the probes of the gateway, which are off: write "neighbour": true, or leave it out
    trackers.t.route.rise = 2: applies to the probes of the gateway, which are off: write "neighbour": true, or leave it out
    trackers.t.route.fall = 2: applies to the probes of the gateway, which are off: write "neighbour": true, or leave it out
    "#);
}

#[test]
fn ping_tracker_problems_are_reported() {
    for right in [
        r#"{ "ping": { "host": "192.168.224.1" } }"#,
        r#"{ "ping": { "host": "gateway.example", "packets": 5, "maxLost": 2, "spacing": "50ms" } }"#,
        r#"{ "ping": { "host": "fe80::1", "interface": "eth1", "source": "fe80::2" } }"#,
    ] {
        assert_eq!(problems_of_tracker(right), "no problem", "{right}");
    }
    assert_snapshot!(problems_of_tracker(r#"{ "ping": {} }"#), @r#"trackers.t.ping.host: missing: write "host": "192.168.224.1""#);
    assert_snapshot!(problems_of_tracker(
        r#"{ "ping": { "host": "fe80::1", "packets": 3, "maxLost": 3, "spacing": "20s", "timeout": 0,
                       "source": "192.168.224.11" } }"#
    ), @r#"
    trackers.t.ping.host = "fe80::1": a link-local address needs an interface: add one, like "interface": "eth1"
    trackers.t.ping.maxLost = 3: must be less than "packets" (3): one reply at least is required
    trackers.t.ping.spacing = "20s": must be 10ms to 10s
    trackers.t.ping.timeout = 0: must be 10ms to 24h
    trackers.t.ping.source = "192.168.224.11": the probed address is IPv6: must be an IPv6 address of this host, or leave it out
    "#);
    assert_snapshot!(problems_of_tracker(
        r#"{ "ping": { "host": "192.168.224.1", "packets": 21, "maxLost": -1, "source": "fe80::11" } }"#
    ), @r#"
    trackers.t.ping.packets = 21: must be 1 to 20
    trackers.t.ping.maxLost = -1: must be 0 to 19, and less than "packets"
    trackers.t.ping.source = "fe80::11": the probed address is IPv4: must be an IPv4 address of this host, or leave it out
    trackers.t.ping.source = "fe80::11": a link-local address needs an interface: add one, like "interface": "eth1"
    "#);
}

#[test]
fn tcp_tracker_problems_are_reported() {
    for right in [
        r#"{ "tcp": { "host": "127.0.0.1", "port": 25 } }"#,
        r#"{ "tcp": { "host": "db.example", "port": 6379, "send": "PING\r\n", "expect": "+PONG" } }"#,
    ] {
        assert_eq!(problems_of_tracker(right), "no problem", "{right}");
    }
    assert_snapshot!(problems_of_tracker(
        r#"{ "tcp": { "port": 65536, "expect": "", "interval": "1ms", "user": "nobody" } }"#
    ), @r#"
    trackers.t.tcp.host: missing: write "host": "127.0.0.1"
    trackers.t.tcp.port = 65536: must be 1 to 65535
    trackers.t.tcp.expect = "": must not be empty: every answer would match
    trackers.t.tcp.interval = "1ms": must be 10ms to 24h
    trackers.t.tcp.user: unknown key: must be "host", "port", "send", "expect", "source", "interface", "interval", "timeout", "rise", "fall", "hold" or "initial"
    "#);
}

#[test]
fn http_tracker_problems_are_reported() {
    for right in [
        r#"{ "http": { "url": "http://127.0.0.1/" } }"#,
        r#"{ "http": { "url": "https://www.example:8443/health?deep=1", "address": "127.0.0.1",
                       "status": [200, "301-302"], "expect": "well", "caFile": "/etc/ssl/ca.pem",
                       "headers": { "Authorization": "Bearer x", "Host": "other.example" } } }"#,
        r#"{ "http": { "url": "https://[2001:db8::1]/", "method": "HEAD", "insecure": true } }"#,
    ] {
        assert_eq!(problems_of_tracker(right), "no problem", "{right}");
    }
    assert_snapshot!(problems_of_tracker(r#"{ "http": { "method": "POST" } }"#), @r#"
    trackers.t.http.url: missing: write "url": "http://127.0.0.1/"
    trackers.t.http.method = "POST": must be "GET", "HEAD" or "OPTIONS"
    "#);
    assert_snapshot!(problems_of_tracker(
        r#"{ "http": { "url": "www.example", "status": [], "method": "HEAD", "expect": "well" } }"#
    ), @r#"
    trackers.t.http.url = "www.example": must begin with http:// or https://
    trackers.t.http.status = []: must not be empty: list the accepted status codes, like 200
    trackers.t.http.expect = "well": a response to HEAD has no body: write "method": "GET"
    "#);
    assert_snapshot!(problems_of_tracker(
        r#"{ "http": { "url": "http://127.0.0.1/", "address": "fe80::1", "source": "127.0.0.2",
                       "status": [20, "200-2xx", 200.5], "caFile": "ca.pem", "insecure": true } }"#
    ), @r#"
    trackers.t.http.address = "fe80::1": a link-local address needs an interface: add one, like "interface": "eth1"
    trackers.t.http.source = "127.0.0.2": the probed address is IPv6: must be an IPv6 address of this host, or leave it out
    trackers.t.http.status[0] = 20: must be a status code, 100 to 599, or a range, like "200-299"
    trackers.t.http.status[1] = "200-2xx": must be a status code, 100 to 599, or a range, like "200-299"
    trackers.t.http.status[2] = 200.5: must be a status code, 100 to 599, or a range, like "200-299"
    trackers.t.http.caFile = "ca.pem": applies to https, and the URL is http: leave it out
    trackers.t.http.caFile = "ca.pem": must be an absolute path, like /etc/ssl/certs/ca.pem
    trackers.t.http.insecure = true: applies to https, and the URL is http: leave it out
    "#);
    assert_snapshot!(problems_of_tracker(
        r#"{ "http": { "url": "https://a.example/", "caFile": "/ca.pem", "insecure": true,
                       "headers": { "Connection": "keep-alive", "X Y": "z", "A": "1", "a": "2",
                                    "Authorization": "s3cret\nmore" } } }"#
    ), @r#"
    trackers.t.http.caFile = "/ca.pem": has no effect with "insecure": leave one of them out
    trackers.t.http.headers.Connection: is set by the daemon itself: leave it out
    trackers.t.http.headers."X Y": must be the name of a header, like "Authorization"
    trackers.t.http.headers.a: is the same header in another case: keep one of them
    trackers.t.http.headers.Authorization: must be one line of ASCII characters, without spaces around it
    "#);
}

#[test]
fn interface_file_and_process_tracker_problems_are_reported() {
    let tracker =
        |definition: &str| problems(&format!(r#"{{ "trackers": {{ "t": {definition} }} }}"#));
    assert_snapshot!(tracker(r#"{ "interface": { "upDelay": "25h", "hold": -1 } }"#), @r#"
    trackers.t.interface.name: missing: write "name": "eth2"
    trackers.t.interface.upDelay = "25h": must be 0 to 24h
    trackers.t.interface.hold = -1: must not be negative
    "#);
    assert_snapshot!(tracker(r#"{ "file": { "path": "run/load" } }"#), @r#"trackers.t.file.path = "run/load": must be the absolute path of a file, like "/run/vrrp/priority""#);
    assert_snapshot!(tracker(r#"{ "file": {} }"#), @r#"trackers.t.file.path: missing: write "path": "/run/vrrp/priority""#);
    assert_snapshot!(tracker(r#"{ "process": { "name": "a", "atLeast": 2, "atMost": 1 } }"#), @r#"trackers.t.process.atMost = 1: must not be less than "atLeast", which is 2"#);
    assert_snapshot!(tracker(r#"{ "process": { "name": "/bin/a", "interval": 0 } }"#), @r#"
    trackers.t.process.name = "/bin/a": must be the name of a program without its directory, like "httpd"
    trackers.t.process.interval = 0: must be 10ms to 24h
    "#);
    assert_snapshot!(tracker(r#"{ "process": { "name": "a", "commandLine": ["a"] } }"#), @r#"trackers.t.process.name = "a": "commandLine" is set too: keep one of them"#);
    assert_snapshot!(tracker(r#"{ "process": { "commandLine": [] } }"#), @"trackers.t.process.commandLine = []: must not be empty: the first element is the program");
}

#[test]
fn ipv6_needs_version_3() {
    assert_eq!(
        problems_of_addresses("", r#""192.0.2.2/24", "2001:db8::1/64""#),
        "no problem"
    );
    assert_snapshot!(problems_of_addresses(r#""version": 2,"#, r#""192.0.2.2/24", "2001:db8::1/64""#), @r#"instances.VI_1.virtualAddresses[1] = "2001:db8::1/64": VRRP version 2 has no IPv6 (RFC 3768): move it to an instance with version 3, or write it as { "address": ..., "advertise": false }"#);
    assert_snapshot!(problems_of_addresses("", r#""2001:db8::1/129", "ff02::12/64", "::/64", "fe80::1/0""#), @r#"
    instances.VI_1.virtualAddresses[0] = "2001:db8::1/129": the prefix length must be 1 to 128
    instances.VI_1.virtualAddresses[1] = "ff02::12/64": must be a unicast address of a network: this is a multicast group
    instances.VI_1.virtualAddresses[2] = "::/64": must be a unicast address of a network: this is no address of a host (RFC 4291)
    instances.VI_1.virtualAddresses[3] = "fe80::1/0": the prefix length must be 1 to 128
    "#);
}

#[test]
fn address_options_fit_the_family() {
    assert_snapshot!(problems_of_addresses("", r#"
        { "address": "2001:db8::1/64", "label": "eth1:vip", "broadcast": "auto", "preferredLifetime": 1.5 },
        { "address": "192.0.2.2/24", "label": "a label that is too long", "scope": "universe", "broadcast": "fe80::1", "preferredLifetime": "2h" },
        { "device": "eth2", "advertize": false },
        { "address": "192.0.2.2/24" }"#), @r#"
    instances.VI_1.virtualAddresses[0].label = "eth1:vip": not available for IPv6: leave it out
    instances.VI_1.virtualAddresses[0].broadcast = "auto": not available for IPv6: leave it out
    instances.VI_1.virtualAddresses[0].preferredLifetime = 1.5: must be 0s to 4294967294s in whole seconds
    instances.VI_1.virtualAddresses[1].label = "a label that is too long": must be 1 to 15 bytes, like "eth1:vip"
    instances.VI_1.virtualAddresses[1].scope = "universe": must be "global", "site", "link" or "host"
    instances.VI_1.virtualAddresses[1].broadcast = "fe80::1": must be an IPv4 address like 192.168.224.255, or "auto"
    instances.VI_1.virtualAddresses[2].address: missing: write "address": "192.168.224.100/24"
    instances.VI_1.virtualAddresses[2].advertize: unknown key: did you mean "advertise"?
    instances.VI_1.virtualAddresses[3].address = "192.0.2.2/24": instances.VI_1.virtualAddresses[1].address is the same address: keep one of them
    "#);
    assert_snapshot!(problems_of_addresses("", r#"{ "address": "192.0.2.2/24", "advertise": false }"#), @"no problem");
}

#[test]
fn virtual_mac_is_boolean_or_object() {
    assert_eq!(
        problems_of_addresses(r#""virtualMac": true,"#, r#""192.0.2.2/24""#),
        "no problem"
    );
    assert_eq!(
        problems_of_addresses(
            r#""virtualMac": { "sendFrom": "base" },"#,
            r#""192.0.2.2/24""#
        ),
        "no problem"
    );
    assert_snapshot!(problems_of_instance(r#""virtualMac": "yes""#), @r#"instances.VI_1.virtualMac = "yes": must be true, false or { "sendFrom": "virtual" or "base" }, not a string"#);
    assert_snapshot!(problems_of_instance(r#""virtualMac": { "sendFrom": "eth0", "from": 1 }"#), @r#"
    instances.VI_1.virtualMac.sendFrom = "eth0": must be "virtual" or "base"
    instances.VI_1.virtualMac.from: unknown key: must be "sendFrom"
    "#);
}

#[test]
fn unicast_peers_are_distinct_other_hosts() {
    let unicast = |entries: &str| problems_of_instance(&format!(r#""unicast": {{ {entries} }}"#));
    assert_snapshot!(unicast(""), @r#"instances.VI_1.unicast.peers: missing: write "peers": ["192.168.224.12"]"#);
    assert_snapshot!(unicast(r#""peers": []"#), @r#"instances.VI_1.unicast.peers = []: must not be empty: list the other hosts, or leave "unicast" out"#);
    assert_snapshot!(unicast(r#""peers": ["192.0.2.12", "192.0.2.12", "a.example", "a.example"]"#), @r#"
    instances.VI_1.unicast.peers[1] = "192.0.2.12": instances.VI_1.unicast.peers[0] is the same peer: keep one of them
    instances.VI_1.unicast.peers[3] = "a.example": instances.VI_1.unicast.peers[2] is the same peer: keep one of them
    "#);
    assert_snapshot!(unicast(r#""peers": ["10.0.0.300", "0.0.0.0", "224.0.0.18", "192.0.2.12/24", "fe80::12%eth1", "-a"]"#), @r#"
    instances.VI_1.unicast.peers[0] = "10.0.0.300": must be an address without a prefix, like 192.168.224.12 or fe80::12, or the name of a host, like "router2.example"
    instances.VI_1.unicast.peers[1] = "0.0.0.0": must be a unicast address
    instances.VI_1.unicast.peers[2] = "224.0.0.18": must be a unicast address
    instances.VI_1.unicast.peers[3] = "192.0.2.12/24": must be an address without a prefix, like 192.168.224.12 or fe80::12, or the name of a host, like "router2.example"
    instances.VI_1.unicast.peers[4] = "fe80::12%eth1": must be an address without a prefix, like 192.168.224.12 or fe80::12, or the name of a host, like "router2.example"
    instances.VI_1.unicast.peers[5] = "-a": must be an address without a prefix, like 192.168.224.12 or fe80::12, or the name of a host, like "router2.example"
    "#);
    assert_snapshot!(unicast(r#""peers": ["192.0.2.1"]"#), @r#"instances.VI_1.unicast.peers[0] = "192.0.2.1": is a virtual address, which this host may hold itself: use an address that always belongs to the other host"#);
    assert_snapshot!(unicast(r#""peers": ["192.0.2.12"], "ttl": 0, "minTtl": 256"#), @"
    instances.VI_1.unicast.ttl = 0: must be 1 to 255
    instances.VI_1.unicast.minTtl = 256: must be 1 to 255
    ");
    assert_snapshot!(unicast(r#""peers": ["192.0.2.12"], "source": "192.0.2.11""#), @r#"instances.VI_1.unicast.source: unknown key: must be "peers", "ttl" or "minTtl""#);
    assert_snapshot!(problems_of_instance(r#""unicast": ["192.0.2.12"]"#), @"instances.VI_1.unicast: must be an object, not a list");
    assert_snapshot!(
        problems_of_instance(r#""source": "192.0.2.11", "unicast": { "peers": ["192.0.2.12", "192.0.2.11"] }"#),
        @"no problem"
    );
    assert_snapshot!(
        problems_of_instance(r#""source": "192.0.2.11", "unicast": { "peers": ["192.0.2.11"] }"#),
        @r#"instances.VI_1.unicast.peers[0] = "192.0.2.11": is this host's own address ("source"), and no other host is listed: list the other hosts, too"#
    );
    let many: Vec<String> = (0..=255).map(|n| format!(r#""host{n}.example""#)).collect();
    let text = unicast(&format!(r#""peers": [{}]"#, many.join(", ")));
    assert_snapshot!(text.split("]: ").last().unwrap(), @"instances.VI_1.unicast.peers: must be at most 255 peers, these are 256");
}

#[test]
fn unicast_peers_cover_each_family() {
    let both = r#""192.0.2.1/24", "2001:db8::1/64""#;
    let unicast = |peers: &str, addresses: &str| {
        problems_of_addresses(
            &format!(r#""unicast": {{ "peers": [{peers}] }},"#),
            addresses,
        )
    };
    assert_snapshot!(unicast(r#""192.0.2.12", "fe80::12""#, r#""192.0.2.1/24""#), @r#"instances.VI_1.unicast.peers[1] = "fe80::12": the instance has no virtual IPv6 address: leave this peer out, or list its address of the other family"#);
    assert_snapshot!(unicast(r#""192.0.2.12""#, both), @"instances.VI_1.unicast.peers: no peer would receive advertisements of the IPv6 addresses: list the IPv6 addresses of the other hosts too");
    assert_eq!(unicast(r#""192.0.2.12", "fe80::12""#, both), "no problem");
    assert_eq!(unicast(r#""192.0.2.12", "a.example""#, both), "no problem");
    // Addresses that are not advertised need no peer of their family.
    let unadvertised = r#""192.0.2.1/24", { "address": "2001:db8::1/64", "advertise": false }"#;
    assert_eq!(unicast(r#""192.0.2.12""#, unadvertised), "no problem");
}

#[test]
fn source_has_family_of_a_virtual_address() {
    assert_eq!(
        problems_of_addresses(r#""source": "10.0.0.1","#, r#""192.0.2.2/24""#),
        "no problem"
    );
    assert_snapshot!(problems_of_addresses(r#""source": "fe80::1","#, r#""192.0.2.2/24""#), @r#"instances.VI_1.source = "fe80::1": the instance advertises no virtual IPv6 address from this source: leave it out"#);
    assert_snapshot!(problems_of_addresses(r#""source": "10.0.0.1/24","#, r#""192.0.2.2/24""#), @r#"instances.VI_1.source = "10.0.0.1/24": must be an address without a prefix, like 192.168.224.11 or fe80::11"#);
}

#[test]
fn vrid_is_unique_per_interface_and_family() {
    let two = |first: &str, second: &str| {
        problems(&format!(
            r#"{{ "instances": {{
                "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": [{first}] }},
                "VI_2": {{ "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": [{second}] }} }} }}"#
        ))
    };
    assert_eq!(
        two(r#""192.0.2.1/24""#, r#""2001:db8::1/64""#),
        "no problem"
    );
    assert_snapshot!(two(r#""192.0.2.1/24", "2001:db8::2/64""#, r#""2001:db8::1/64""#), @"instances.VI_2.virtualRouterId = 51: instances.VI_1 already uses this VRID on eth1: choose another, or move the addresses to that instance");
}

#[test]
fn repeated_key_is_reported_and_first_counts() {
    assert_snapshot!(problems_of_instance(r#""priority": 100, "priority": 0"#), @"instances.VI_1.priority = 100: given twice in this object: keep one of them");
    assert_snapshot!(problems(r#"{ "trackers": {}, "instances": {}, "trackers": {} }"#), @"trackers = {}: given twice in this object: keep one of them");
    assert_snapshot!(problems(r#"{ "instances": { "VI_1": 1, "VI_1": 2 } }"#), @"
    instances.VI_1 = 1: given twice in this object: keep one of them
    instances.VI_1 = 1: must be an object, not a number
    ");
}

#[test]
fn wrong_type_comes_with_remedy() {
    assert_snapshot!(problems_of_instance(
        r#""priority": "100", "preempt": "true", "state": true, "version": null, "track": "httpd",
           "advertInterval": [1], "authentication": { "pass": { "password": 1111 } }"#
    ), @r#"
    instances.VI_1.priority = "100": must be a whole number, not a string; write 100 without quotes
    instances.VI_1.preempt = "true": must be true or false, not a string; write true without quotes
    instances.VI_1.state = true: must be "master" or "backup", not true
    instances.VI_1.version = null: must be a whole number, not null; to have none, leave the key out
    instances.VI_1.track = "httpd": must be a list, not a string; put it in [ ]
    instances.VI_1.advertInterval: must be a number of seconds (1, 0.5) or a string with a unit ("100ms", "2s", "1m", "1h"), not a list
    instances.VI_1.authentication.pass.password: must be a string, not a number; put it in quotes
    "#);
    assert_snapshot!(problems_of_instance(r#""priority": 100.5, "advertInterval": "fast""#), @r#"
    instances.VI_1.priority = 100.5: must be a whole number
    instances.VI_1.advertInterval = "fast": must be a number of seconds (1, 0.5) or a string with a unit ("100ms", "2s", "1m", "1h")
    "#);
    assert_snapshot!(problems_of_instance(r#""track": [["httpd"], 1]"#), @r#"
    instances.VI_1.track[0]: must be the name of a tracker or { "tracker": NAME, "weight": NUMBER }, not a list
    instances.VI_1.track[1] = 1: must be the name of a tracker or { "tracker": NAME, "weight": NUMBER }, not a number
    "#);
    assert_snapshot!(problems(r#"{ "instances": [], "trackers": { "t": "script", "u": {}, "v": 1 } }"#), @r#"
    instances = []: must be an object, not a list
    trackers.t = "script": must be an object { "script": ... }, not a string
    trackers.u = {}: must have exactly one key: "script", "interface", "file", "process", "ping", "tcp", "http", "unit" or "route"
    trackers.v = 1: must be "script", "interface", "file", "process", "ping", "tcp", "http", "unit" or "route", not a number
    "#);
    assert_snapshot!(problems(r#"{ "trackers": { "t": { "script": "/x", "interface": {} } } }"#), @r#"trackers.t: must have exactly one key: "script", "interface", "file", "process", "ping", "tcp", "http", "unit" or "route""#);
    assert_snapshot!(problems(r#"{ "trackers": { "t": { "script": ["/x"] } } }"#), @"trackers.t.script: must be an object, not a list");
    assert_snapshot!(problems("[]"), @"must be an object, not a list");
}

#[test]
fn missing_key_comes_with_example() {
    assert_snapshot!(problems(r#"{ "instances": { "VI_1": {} }, "trackers": { "t": { "script": {} }, "u": { "interface": {} } } }"#), @r#"
    instances.VI_1.interface: missing: write "interface": "eth0"
    instances.VI_1.virtualRouterId: missing: write "virtualRouterId": 51, the number that all hosts of this virtual router share
    instances.VI_1.virtualAddresses: missing: write "virtualAddresses": ["192.168.224.100/24"], or [] if the network moves the addresses
    trackers.t.script.command: missing: write "command": ["/path/to/program"]
    trackers.u.interface.name: missing: write "name": "eth2"
    "#);
    assert_snapshot!(problems_of_instance(r#""track": [{ "weight": 5 }]"#), @r#"instances.VI_1.track[0].tracker: missing: write "tracker": "name""#);
}

#[test]
fn invalid_state_comes_with_suggestion() {
    assert_snapshot!(problems_of_instance(r#""state": "MASTER""#), @r#"instances.VI_1.state = "MASTER": must be "master" or "backup": did you mean "master"?"#);
    assert_snapshot!(problems_of_instance(r#""state": "active""#), @r#"instances.VI_1.state = "active": must be "master" or "backup""#);
}

#[test]
fn names_need_no_quoting() {
    let long = "x".repeat(65);
    assert_snapshot!(problems(r#"{ "trackers": { "": { "interface": { "name": "eth2" } }, "a b": { "interface": { "name": "eth2" } } } }"#), @r#"
    trackers."": a name must be 1 to 64 letters, digits and _-.:@, and begin with a letter, a digit or _
    trackers."a b": a name must be 1 to 64 letters, digits and _-.:@, and begin with a letter, a digit or _
    "#);
    assert_snapshot!(problems(&format!(r#"{{ "trackers": {{ "{long}": {{ "interface": {{ "name": "eth2" }} }} }} }}"#)).replace(&long, "LONG"), @"trackers.LONG: a name must be 1 to 64 letters, digits and _-.:@, and begin with a letter, a digit or _");
}

#[test]
fn interface_name_fits_the_kernel() {
    for name in ["", "sixteen-bytes-xx", "a b", "a/b", "eth0:1", ".."] {
        let text =
            format!(r#"{{ "trackers": {{ "t": {{ "interface": {{ "name": "{name}" }} }} }} }}"#);
        assert!(
            problems(&text).contains("must be the name of an interface"),
            "{name}"
        );
    }
}

#[test]
fn advert_interval_fits_the_version() {
    assert_snapshot!(problems_of_instance(r#""advertInterval": 1.5, "version": 2"#), @"instances.VI_1.advertInterval = 1.5: must be 1s to 255s in whole seconds with version 2; shorter intervals need version 3");
    assert_snapshot!(problems_of_instance(r#""advertInterval": "15ms""#), @r#"instances.VI_1.advertInterval = "15ms": must be 10ms to 40.95s in steps of 10ms with version 3"#);
    assert_snapshot!(problems_of_instance(r#""advertInterval": -1"#), @"instances.VI_1.advertInterval = -1: must not be negative");
    assert_snapshot!(problems_of_instance(r#""advertInterval": -1.5"#), @"instances.VI_1.advertInterval = -1.5: must not be negative");
    assert_snapshot!(problems_of_instance(r#""advertInterval": 1e300"#), @"instances.VI_1.advertInterval = 1e+300: is too long");
}

#[test]
fn password_needs_version_2_and_stays_secret() {
    assert_snapshot!(problems_of_instance(r#""authentication": { "pass": { "password": "1111" } }"#), @r#"instances.VI_1.authentication: VRRP version 3 has no password (RFC 9568 section 9): use "hmac", leave it out, or write "version": 2"#);
    assert_snapshot!(problems_of_instance(r#""version": 2, "authentication": { "pass": { "password": "123456789" } }"#), @"instances.VI_1.authentication.pass.password: must be 1 to 8 bytes long, this one is 9: keepalived sends the first 8 bytes of a longer one and ignores the rest; write those 8 to stay compatible with it");
    assert_snapshot!(problems_of_instance(r#""version": 2, "authentication": { "pass": { "password": "" } }"#), @"instances.VI_1.authentication.pass.password: must be 1 to 8 bytes long, this one is 0");
    assert_snapshot!(problems_of_instance(r#""version": 2, "authentication": { "pass": { "passwordFile": "" } }"#), @"instances.VI_1.authentication.pass.passwordFile: must be the path of a file");
    assert_snapshot!(problems_of_instance(r#""version": 2, "authentication": { "pass": { "password": "1111", "passwordFile": "/x" } }"#), @r#"instances.VI_1.authentication.pass: must have exactly one key: "password" or "passwordFile""#);
    for secret in [
        r#""authentication": { "pass": "s3cret" }"#,
        r#""authentication": "s3cret""#,
        r#""authentication": { "pass": { "pasword": "s3cret" } }"#,
        r#""auth_pass": "s3cret""#,
    ] {
        let shown = problems_of_instance(&format!(r#""version": 2, {secret}"#));
        assert!(shown.starts_with("instances.VI_1.auth"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

/// Returns the problems of an instance with HMAC `entries`.
fn problems_of_hmac(entries: &str) -> String {
    problems_of_instance(&format!(
        r#""authentication": {{ "hmac": {{ {entries} }} }}"#
    ))
}

#[test]
fn hmac_key_problems_stay_secret() {
    let key = "s3cret".repeat(6);
    let one = format!(r#""keys": {{ "1": {{ "key": "{key}" }} }}"#);
    assert_snapshot!(problems_of_hmac(&one), @"no problem");
    assert_snapshot!(problems_of_hmac(""), @r#"instances.VI_1.authentication.hmac.keys: missing: write "keys": { "1": { "keyFile": "/etc/vrrpd/key" } }"#);
    assert_snapshot!(problems_of_hmac(r#""keys": {}"#), @r#"instances.VI_1.authentication.hmac.keys: must not be empty: write "keys": { "1": { "keyFile": "/etc/vrrpd/key" } }"#);
    let numbers =
        ["0", "01", "256", "one"].map(|number| format!(r#""{number}": {{ "key": "{key}" }}"#));
    assert_snapshot!(problems_of_hmac(&format!(r#""keys": {{ {} }}, "activeKey": 1"#, numbers.join(","))), @"
    instances.VI_1.authentication.hmac.keys.0: the number of a key must be 1 to 255
    instances.VI_1.authentication.hmac.keys.01: the number of a key must be 1 to 255
    instances.VI_1.authentication.hmac.keys.256: the number of a key must be 1 to 255
    instances.VI_1.authentication.hmac.keys.one: the number of a key must be 1 to 255
    ");
    assert_snapshot!(problems_of_hmac(
        r#""keys": { "1": { "key": "s3cret" }, "2": { "key": "hex:s3cret" }, "3": { "keyFile": "" }, "4": {}, "5": "s3cret" },
           "activeKey": 6, "mode": "enforced", "antiReplay": "clock", "timeWindow": "1.5s", "key": "s3cret""#
    ), @r#"
    instances.VI_1.authentication.hmac.keys.1.key: must be 32 to 64 bytes long, this one is 6: generate one with `openssl rand -hex 32` and write "hex:" before it
    instances.VI_1.authentication.hmac.keys.2.key: must have two hexadecimal digits for each byte after "hex:"
    instances.VI_1.authentication.hmac.keys.3.keyFile: must be the path of a file
    instances.VI_1.authentication.hmac.keys.4: must have exactly one key: "key" or "keyFile"
    instances.VI_1.authentication.hmac.keys.5: must be "key" or "keyFile"
    instances.VI_1.authentication.hmac.activeKey: there is no such key: must be 1 or 2 or 3 or 4 or 5
    instances.VI_1.authentication.hmac.mode: must be "enforce", "permissive" or "receiveOnly": did you mean "enforce"?
    instances.VI_1.authentication.hmac.antiReplay: must be "time" or "monotonic"
    instances.VI_1.authentication.hmac.timeWindow: must be 1s to 300s in whole seconds
    instances.VI_1.authentication.hmac.key: unknown key: did you mean "keys"?
    "#);
    let two = format!(r#""keys": {{ "1": {{ "key": "{key}" }}, "2": {{ "key": "{key}" }} }}"#);
    assert_snapshot!(problems_of_hmac(&two), @"instances.VI_1.authentication.hmac.activeKey: missing: write the number of the key to sign with, 1 or 2");
    assert_snapshot!(problems_of_hmac(&format!(r#"{one}, "timeWindow": "301s", "activeKey": 0"#)), @"
    instances.VI_1.authentication.hmac.timeWindow: must be 1s to 300s in whole seconds
    instances.VI_1.authentication.hmac.activeKey: must be the number of a key, 1 to 255
    ");
}

#[test]
fn virtual_addresses_are_host_addresses() {
    assert_snapshot!(problems(
        r#"{ "instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": [
            "192.0.2.1/33", "192.0.2.1/0", "192.0.2/24", "192.0.2.1/", "224.0.0.18/24", "0.0.0.0/8", 1 ] } } }"#
    ), @r#"
    instances.VI_1.virtualAddresses[0] = "192.0.2.1/33": the prefix length must be 1 to 32
    instances.VI_1.virtualAddresses[1] = "192.0.2.1/0": the prefix length must be 1 to 32
    instances.VI_1.virtualAddresses[2] = "192.0.2/24": must be an address with its prefix, like 192.168.224.100/24 or 2001:db8::100/64
    instances.VI_1.virtualAddresses[3] = "192.0.2.1/": the prefix length must be 1 to 32
    instances.VI_1.virtualAddresses[4] = "224.0.0.18/24": must be a unicast address of a network: this is a multicast group
    instances.VI_1.virtualAddresses[5] = "0.0.0.0/8": must be a unicast address of a network: 0.0.0.0/8 is no network of hosts (RFC 6890)
    instances.VI_1.virtualAddresses[6] = 1: must be an address like "192.168.224.100/24" or { "address": ... }, not a number
    "#);
    assert_snapshot!(problems(
        r#"{ "instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": [] } } }"#
    ), @"no problem");
    let many: Vec<_> = (0..=4096)
        .map(|n| format!(r#""10.0.{}.{}/32""#, n / 256, n % 256))
        .collect();
    assert_snapshot!(problems(&format!(
        r#"{{ "instances": {{ "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": [{}] }} }} }}"#,
        many.join(",")
    )), @"instances.VI_1.virtualAddresses: must be at most 4096 addresses, these are 4097: use several instances");
}

#[test]
fn vrid_and_addresses_are_unique_across_instances() {
    assert_snapshot!(problems(
        r#"{ "instances": {
            "VI_1": { "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": ["192.0.2.1/24", "192.0.2.1/32"] },
            "VI_2": { "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": ["192.0.2.2/24"] },
            "VI_3": { "interface": "eth2", "virtualRouterId": 51, "virtualAddresses": ["192.0.2.2/25"] } } }"#
    ), @r#"
    instances.VI_1.virtualAddresses[1] = "192.0.2.1/32": instances.VI_1.virtualAddresses[0] is the same address: keep one of them
    instances.VI_2.virtualRouterId = 51: instances.VI_1 already uses this VRID on eth1: choose another, or move the addresses to that instance
    instances.VI_3.virtualAddresses[0] = "192.0.2.2/25": instances.VI_2.virtualAddresses[0] is the same address: keep one of them
    "#);
}

#[test]
fn link_local_address_is_unique_on_its_link() {
    let instances = |first: &str, second: &str, addresses: &str| {
        problems(&format!(
            r#"{{ "instances": {{
                 "lan": {{ "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": [{first}] }},
                 "guests": {{ "interface": "eth2", "virtualRouterId": 52, "virtualAddresses": [{second}{addresses}] }} }} }}"#
        ))
    };
    let gateway = r#""fe80::1/64""#;
    assert_eq!(instances(gateway, gateway, ""), "no problem");
    let here = r#"{ "address": "fe80::1/64", "device": "eth1" }"#;
    assert_snapshot!(instances(gateway, here, ""), @r#"instances.lan.virtualAddresses[0] = "fe80::1/64": instances.guests.virtualAddresses[0].address is the same address: keep one of them"#);
    assert_snapshot!(instances(r#""2001:db8::1/64""#, r#""2001:db8::1/64""#, ""), @r#"instances.lan.virtualAddresses[0] = "2001:db8::1/64": instances.guests.virtualAddresses[0] is the same address: keep one of them"#);
    assert_snapshot!(instances(r#""192.0.2.1/24""#, gateway, &format!(", {here}")), @r#"instances.guests.virtualAddresses[1].address = "fe80::1/64": this instance has the same address on another device: move it to an instance of its own"#);
}

#[test]
fn source_is_no_virtual_address() {
    assert_snapshot!(problems_of_instance(r#""source": "192.0.2.1""#), @r#"instances.VI_1.source = "192.0.2.1": is the virtual address instances.VI_1.virtualAddresses[0]: must be an address that only this host has"#);
    assert_eq!(
        problems_of_instance(r#""source": "192.0.2.1", "priority": 255"#),
        "no problem"
    );
}

#[test]
fn addresses_that_no_other_host_reaches_are_rejected() {
    assert_snapshot!(problems_of_addresses("",
        r#""127.0.0.2/8", "0.1.2.3/8", "255.255.255.255/32", "::1/128", "::ffff:192.0.2.1/128", "240.0.0.1/24""#
    ), @r#"
    instances.VI_1.virtualAddresses[0] = "127.0.0.2/8": must be a unicast address of a network: 127.0.0.0/8 never leaves the host (RFC 6890)
    instances.VI_1.virtualAddresses[1] = "0.1.2.3/8": must be a unicast address of a network: 0.0.0.0/8 is no network of hosts (RFC 6890)
    instances.VI_1.virtualAddresses[2] = "255.255.255.255/32": must be a unicast address of a network: this is the broadcast address
    instances.VI_1.virtualAddresses[3] = "::1/128": must be a unicast address of a network: ::1 never leaves the host (RFC 4291)
    instances.VI_1.virtualAddresses[4] = "::ffff:192.0.2.1/128": must not be an IPv4-mapped address, which is none of a network (RFC 4291): write 192.0.2.1
    "#);
    assert_snapshot!(problems_of_instance(
        r#""source": "127.0.0.1", "unicast": { "peers": ["127.0.0.1", "::1"] },
           "routes": [{ "destination": "10.0.0.0/8", "gateway": "224.0.0.18" }]"#
    ), @r#"
    instances.VI_1.source = "127.0.0.1": must be a unicast address of a network: 127.0.0.0/8 never leaves the host (RFC 6890)
    instances.VI_1.unicast.peers[0] = "127.0.0.1": must be a unicast address of a network: 127.0.0.0/8 never leaves the host (RFC 6890)
    instances.VI_1.unicast.peers[1] = "::1": must be a unicast address of a network: ::1 never leaves the host (RFC 4291)
    instances.VI_1.routes[0].gateway = "224.0.0.18": must be a unicast address of a network: this is a multicast group
    "#);
}

#[test]
fn interface_in_the_place_of_a_tracker_comes_with_its_tracker() {
    assert_snapshot!(problems_of_instance(r#""track": ["eth1"]"#), @r#"instances.VI_1.track[0] = "eth1": there is no such tracker: to follow the interface, define "eth1": { "interface": { "name": "eth1" } } under "trackers""#);
}

#[test]
fn lvs_sync_is_for_one_instance() {
    let instance = |vrid: u8, entries: &str| {
        format!(
            r#"{{ "interface": "eth1", "virtualRouterId": {vrid}, "virtualAddresses": ["192.0.2.{vrid}/24"]
                  {entries} }}"#
        )
    };
    let text = format!(
        r#"{{ "instances": {{ "VI_1": {}, "VI_2": {}, "VI_3": {}, "VI_4": {} }} }}"#,
        instance(51, r#", "lvsSyncInterface": "eth1""#),
        instance(52, r#", "lvsSyncInterface": "eth1""#),
        instance(53, ""),
        instance(
            54,
            r#", "lvsSyncInterface": "eth2", "lvs": { "syncId": 7 }"#
        )
    );
    assert_snapshot!(problems(&text), @r#"
    instances.VI_2.lvsSyncInterface = "eth1": instances.VI_1.lvsSyncInterface is set already, and the kernel has one IPVS sync thread for all connections: keep one of them
    instances.VI_4.lvsSyncInterface = "eth2": instances.VI_1.lvsSyncInterface is set already, and the kernel has one IPVS sync thread for all connections: keep one of them
    "#);
}

#[test]
fn lvs_values_out_of_range_come_with_range() {
    assert_snapshot!(problems_of_instance(
        r#""lvsSyncInterface": "a-name-that-is-too-long",
           "lvs": { "syncId": 256, "maxLength": 1023, "port": 0, "ttl": 0, "group": "192.0.2.1", "id": 1 }"#
    ), @r#"
    instances.VI_1.lvsSyncInterface = "a-name-that-is-too-long": must be the name of an interface: 1 to 15 bytes; a longer one is an alternative name (altname), write the name that `ip link` shows first
    instances.VI_1.lvs.syncId = 256: must be 0 to 255
    instances.VI_1.lvs.maxLength = 1023: must be 1024 to 65507 bytes
    instances.VI_1.lvs.port = 0: must be 1 to 65535
    instances.VI_1.lvs.ttl = 0: must be 1 to 255
    instances.VI_1.lvs.group = "192.0.2.1": must be a multicast group, like 224.0.0.81 or ff02::51
    instances.VI_1.lvs.id: unknown key: must be "syncId", "maxLength", "port", "ttl" or "group"
    "#);
    let lvs = |entries: &str| {
        problems_of_instance(&format!(
            r#""lvsSyncInterface": "eth1", "lvs": {{ {entries} }}"#
        ))
    };
    assert_eq!(lvs(r#""maxLength": 65507"#), "no problem");
    assert_snapshot!(lvs(r#""maxLength": 65508"#), @"instances.VI_1.lvs.maxLength = 65508: must be 1024 to 65507 bytes");
    assert_eq!(
        lvs(r#""group": "ff02::51", "maxLength": 65487"#),
        "no problem"
    );
    assert_snapshot!(lvs(r#""group": "ff02::51", "maxLength": 65488"#), @"instances.VI_1.lvs.maxLength = 65488: must be at most 65487: an IPv6 packet has no room for more");
}

#[test]
fn followed_trackers_are_defined_once() {
    assert_snapshot!(problems_of_instance(r#""track": ["http", { "tracker": "nothing", "weight": 5 }]"#), @r#"
    instances.VI_1.track[0] = "http": there is no such tracker: did you mean "httpd"?
    instances.VI_1.track[1].tracker = "nothing": there is no such tracker: define it under "trackers"
    "#);
    assert_snapshot!(problems_of_instance(r#""track": ["httpd", { "tracker": "httpd", "weight": 5 }]"#), @r#"instances.VI_1.track[1].tracker = "httpd": the instance follows this tracker already: keep one of them"#);
    assert_snapshot!(problems_of_instance(r#""track": [{ "tracker": "httpd", "weight": 0 }, { "trackr": "httpd", "wait": 300 }]"#), @r#"
    instances.VI_1.track[0].weight = 0: must be -253 to 253 and not 0; leave it out for a fault while the tracker is down
    instances.VI_1.track[1].tracker: the instance follows this tracker already: keep one of them
    instances.VI_1.track[1].trackr: unknown key: did you mean "tracker"?
    instances.VI_1.track[1].wait: unknown key: must be "tracker" or "weight"
    "#);
}

#[test]
fn script_tracker_problems_are_reported() {
    assert_snapshot!(problems_of_script(r#""command": []"#), @"trackers.t.script.command = []: must not be empty: the first element is the program");
    assert_snapshot!(problems_of_script(r#""command": "/bin/true""#), @r#"trackers.t.script.command = "/bin/true": must be a list, not a string: write ["/bin/true"]"#);
    assert_snapshot!(problems_of_script(r#""command": "/usr/bin/killall -0  haproxy""#), @r#"trackers.t.script.command = "/usr/bin/killall -0  haproxy": must be a list, not a string: write ["/usr/bin/killall", "-0", "haproxy"]"#);
    assert_snapshot!(problems_of_script(r#""command": ["true", 1, "a\u0000b"]"#), @r#"
    trackers.t.script.command[0] = "true": the program must be an absolute path, like /usr/local/bin/check
    trackers.t.script.command[1] = 1: must be a string, not a number; put it in quotes
    trackers.t.script.command[2] = "a\u0000b": must not contain a NUL character
    "#);
    assert_snapshot!(problems_of_script(
        r#""command": ["/bin/true"], "interval": 0, "timeout": "25h", "rise": 0, "fall": 1001, "user": "a b""#
    ), @r#"
    trackers.t.script.interval = 0: must be 10ms to 24h
    trackers.t.script.timeout = "25h": must be 10ms to 24h
    trackers.t.script.rise = 0: must be 1 to 1000
    trackers.t.script.fall = 1001: must be 1 to 1000
    trackers.t.script.user = "a b": must be the name of a user, like "nobody"
    "#);
}

#[test]
fn consequences_of_a_problem_are_not_reported() {
    // An unreadable version is neither 3 nor 2: interval and authentication are not checked.
    assert_snapshot!(problems_of_instance(
        r#""version": "two", "advertInterval": 1.5, "authentication": { "pass": { "password": "1111" } }"#
    ), @r#"instances.VI_1.version = "two": must be a whole number, not a string"#);
    // An invalid tracker is still a defined one.
    assert_snapshot!(problems(
        r#"{ "trackers": { "t": { "scrpt": {} } },
             "instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51, "track": ["t"],
                                      "virtualAddresses": ["192.0.2.1/24"] } } }"#
    ), @r#"
    trackers.t.script.command: missing: write "command": ["/path/to/program"]
    trackers.t.scrpt: unknown key: did you mean "script"?
    "#);
}

#[test]
fn routes_are_checked_within_their_family() {
    assert_snapshot!(problems_of_instance(r#""routes": [
        { "gateway": "192.0.2.9" },
        { "destination": "10.1.2.3/8" },
        { "destination": "everywhere", "gateway": "nowhere", "scope": "near", "table": 0, "metric": -1 },
        { "destination": "10.1.0.0/16", "gateway": "2001:db8::1" },
        { "destination": "2001:db8::/32", "source": "192.0.2.1" },
        { "destination": "2001:db8:1::/48", "scope": "link" },
        { "destination": "10.2.0.0/16", "gateway": "192.0.2.9", "scope": "link" },
        { "destination": "10.3.0.0/16", "gateway": "192.0.2.9", "onLink": true },
        { "destination": "::/0", "gateway": "fe80::1" },
        { "destination": "10.4.0.0/16", "scope": 256 },
        { "destination": "10.5.0.0/16", "gateway": "192.0.2.9/24", "dev": "eth2" } ]"#), @r#"
    instances.VI_1.routes[0].destination: missing: write "destination": "default", or a network like "10.0.0.0/8"
    instances.VI_1.routes[1].destination = "10.1.2.3/8": has bits beyond its prefix: write 10.0.0.0/8 for the network, or a longer prefix
    instances.VI_1.routes[2].destination = "everywhere": must be "default", or the prefix of a network, like 10.0.0.0/8 or 2001:db8::/32
    instances.VI_1.routes[2].gateway = "nowhere": must be an address without a prefix, like 192.168.224.11 or fe80::11
    instances.VI_1.routes[2].scope = "near": must be "global", "link", "host", or a number, 0 to 255
    instances.VI_1.routes[2].table = 0: must be 1 to 4294967295; the table "main" is 254
    instances.VI_1.routes[2].metric = -1: must be 0 to 4294967295
    instances.VI_1.routes[3].gateway = "2001:db8::1": the destination is IPv4: the gateway must be of the same family
    instances.VI_1.routes[4].source = "192.0.2.1": the destination is IPv6: the source must be of the same family
    instances.VI_1.routes[5].scope = "link": routes of IPv6 have no scope: leave it out
    instances.VI_1.routes[6].scope = "link": a route through a gateway leads beyond the link: must be "global" or 0 to 252
    instances.VI_1.routes[7].onLink = true: on-link needs both the gateway and the device that it is a neighbour on
    instances.VI_1.routes[8].gateway = "fe80::1": fe80::1 is a link-local address: name the device, too
    instances.VI_1.routes[9].scope = 256: must be 0 to 255
    instances.VI_1.routes[10].gateway = "192.0.2.9/24": must be an address without a prefix, like 192.168.224.11 or fe80::11
    instances.VI_1.routes[10].dev: unknown key: must be "destination", "gateway", "device", "source", "table", "metric", "scope", "onLink" or "nextHops"
    "#);
}

#[test]
fn next_hops_exclude_gateway_and_device() {
    assert_snapshot!(problems_of_instance(r#""routes": [
        { "destination": "10.1.0.0/16", "gateway": "192.0.2.9", "device": "eth2", "onLink": false, "nextHops": [{ "device": "eth2" }] },
        { "destination": "10.2.0.0/16", "nextHops": [] },
        { "destination": "10.3.0.0/16", "nextHops": [{}, { "gateway": "2001:db8::1" }, { "gateway": "192.0.2.9", "weight": 0 }] } ]"#), @r#"
    instances.VI_1.routes[0].gateway = "192.0.2.9": not allowed beside "nextHops": move it into each next hop, or leave "nextHops" out
    instances.VI_1.routes[0].device = "eth2": not allowed beside "nextHops": move it into each next hop, or leave "nextHops" out
    instances.VI_1.routes[0].onLink = false: not allowed beside "nextHops": move it into each next hop, or leave "nextHops" out
    instances.VI_1.routes[1].nextHops = []: must not be empty: list the next hops, or write "gateway" instead
    instances.VI_1.routes[2].nextHops[0] = {}: a next hop is a gateway, a device, or both
    instances.VI_1.routes[2].nextHops[2].weight = 0: must be 1 to 255
    "#);
}

#[test]
fn rules_need_a_selector_and_a_table() {
    assert_snapshot!(problems_of_instance(r#""rules": [
        {},
        { "table": 100 },
        { "from": "10.0.0.0/8" },
        { "from": "10.0.0.0/8", "to": "2001:db8::/32", "table": 100 },
        { "from": "0.0.0.0/0", "table": 100 },
        { "iif": "eth2", "to": "::/0", "table": 100 },
        { "fwmark": 0, "table": "main", "priority": 4294967296 },
        { "form": "10.0.0.0/8", "table": 100 } ]"#), @r#"
    instances.VI_1.rules[0].table: missing: write "table": 100, the number of the table to look up
    instances.VI_1.rules[0] = {}: selects every packet: if that is meant, write "to": "0.0.0.0/0", or "::/0" for IPv6; else write "from", "to", "iif", "oif" or "fwmark"
    instances.VI_1.rules[1]: selects every packet: if that is meant, write "to": "0.0.0.0/0", or "::/0" for IPv6; else write "from", "to", "iif", "oif" or "fwmark"
    instances.VI_1.rules[2].table: missing: write "table": 100, the number of the table to look up
    instances.VI_1.rules[3].to = "2001:db8::/32": "from" and "to" must be of the same family
    instances.VI_1.rules[6].fwmark = 0: must be 1 to 4294967295
    instances.VI_1.rules[6].table = "main": must be a whole number, not a string
    instances.VI_1.rules[6].priority = 4294967296: must be 0 to 4294967295
    instances.VI_1.rules[7].form: unknown key: did you mean "from"?
    "#);
}

#[test]
fn routes_and_rules_are_unique_on_a_host() {
    assert_snapshot!(problems(
        r#"{ "instances": {
            "VI_1": { "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": ["192.0.2.1/24"],
                      "routes": [{ "destination": "default", "gateway": "192.0.2.9" },
                                 { "destination": "0.0.0.0/0", "device": "eth2", "metric": 0 }],
                      "rules": [{ "from": "10.0.0.0/8", "table": 100 }] },
            "VI_2": { "interface": "eth1", "virtualRouterId": 52, "virtualAddresses": ["192.0.2.2/24"],
                      "routes": [{ "destination": "default", "gateway": "192.0.2.8", "table": 254 },
                                 { "destination": "default", "gateway": "192.0.2.8", "metric": 7 }],
                      "rules": [{ "from": "10.0.0.0/8", "table": 100, "priority": 32765 },
                                { "from": "10.0.0.0/8", "table": 101 }] } } }"#
    ), @r#"
    instances.VI_1.routes[1]: instances.VI_1.routes[0] is the same: keep one of them, or choose another "metric" or "table"
    instances.VI_2.routes[0]: instances.VI_1.routes[0] is the same: keep one of them, or choose another "metric" or "table"
    instances.VI_2.rules[0]: instances.VI_1.rules[0] is the same: keep one of them
    "#);
}

#[test]
fn notify_needs_a_program() {
    assert_snapshot!(problems_of_instance(r#""notify": {}"#), @r#"instances.VI_1.notify = {}: runs no program: write "any": ["/path/to/program"], or one of "master", "backup", "fault", "stop" and "contested""#);
    assert_snapshot!(problems_of_instance(
        r#""notify": { "master": [], "backup": ["tell"], "any": ["/bin/tell", 1], "timeout": "11m",
           "retries": 101, "style": "keepalive", "user": "-", "onstart": true, "deleted": ["/bin/tell"] }"#
    ), @r#"
    instances.VI_1.notify.master = []: must not be empty: the first element is the program
    instances.VI_1.notify.backup[0] = "tell": the program must be an absolute path, like /usr/local/bin/check
    instances.VI_1.notify.any[1] = 1: must be a string, not a number; put it in quotes
    instances.VI_1.notify.timeout = "11m": must be 10ms to 10m
    instances.VI_1.notify.retries = 101: must be 0 to 100
    instances.VI_1.notify.style = "keepalive": must be "environment" or "keepalived": did you mean "keepalived"?
    instances.VI_1.notify.user = "-": must be the name of a user, like "nobody"
    instances.VI_1.notify.onstart: unknown key: did you mean "onStart"?
    instances.VI_1.notify.deleted: unknown key: must be "master", "backup", "fault", "stop", "contested", "any", "timeout", "retries", "onStart", "onReload", "style" or "user"
    "#);
    assert_snapshot!(problems_of_instance(r#""notify": ["/bin/tell"]"#), @"instances.VI_1.notify: must be an object, not a list");
}

#[test]
fn resources_are_units_of_one_instance() {
    assert_snapshot!(problems_of_instance(r#""resources": ["httpd", "getty@.service", 7]"#), @r#"
    instances.VI_1.resources[0] = "httpd": must be the name of a unit with its type: did you mean "httpd.service"?
    instances.VI_1.resources[1] = "getty@.service": is a template: name one of its instances, like "getty@1.service"
    instances.VI_1.resources[2] = 7: must be a string, not a number; put it in quotes
    "#);
    assert_snapshot!(problems_of_instance(r#""resources": "httpd.service""#), @r#"instances.VI_1.resources = "httpd.service": must be a list of units or { "units": [ … ] }, not a string"#);
    assert_snapshot!(problems_of_instance(
        r#""resources": { "unit": ["a.service"], "onFailure": "ignore", "handover": "never",
                          "startTimeout": 0, "stopTimeout": "2h" }"#
    ), @r#"
    instances.VI_1.resources.unit: unknown key: did you mean "units"?
    instances.VI_1.resources.onFailure = "ignore": must be "fault" or "log"
    instances.VI_1.resources.handover = "never": must be "at-once" or "after-stop"
    instances.VI_1.resources.startTimeout = 0: must be 100ms to 1h
    instances.VI_1.resources.stopTimeout = "2h": must be 100ms to 1h
    "#);
    assert_snapshot!(problems(
        r#"{ "trackers": { "web": { "unit": { "name": "httpd.service" } } },
             "instances": {
               "VI_1": { "interface": "eth1", "virtualRouterId": 51, "track": ["web"],
                         "virtualAddresses": ["192.0.2.1/24"],
                         "resources": ["httpd.service", "httpd.service"] },
               "VI_2": { "interface": "eth1", "virtualRouterId": 52,
                         "virtualAddresses": ["192.0.2.2/24"],
                         "resources": { "units": ["httpd.service"] } } } }"#
    ), @r#"
    instances.VI_1.track[0] = "web": tracks a resource of this instance, which does not run on a backup and which the daemon monitors on the master anyway: leave it out
    instances.VI_1.resources[1] = "httpd.service": instances.VI_1.resources[0] is the same unit: keep one of them; for a unit that several instances need, list a separate unit in each of them that starts it
    instances.VI_2.resources.units[0] = "httpd.service": instances.VI_1.resources[0] is the same unit: keep one of them; for a unit that several instances need, list a separate unit in each of them that starts it
    "#);
}

#[test]
fn unit_tracker_problems_are_reported() {
    let problems_of = |entries: &str| {
        problems(&format!(
            r#"{{ "trackers": {{ "t": {{ "unit": {{ {entries} }} }} }} }}"#
        ))
    };
    assert_snapshot!(problems_of(""), @r#"trackers.t.unit.name: missing: write "name": "httpd.service""#);
    assert_snapshot!(problems_of(r#""name": "httpd", "restart": "yes""#), @r#"
    trackers.t.unit.name = "httpd": must be the name of a unit with its type: did you mean "httpd.service"?
    trackers.t.unit.restart = "yes": must be true, false or { "atMost": NUMBER, "within": TIME }, not a string
    "#);
    assert_snapshot!(problems_of(
        r#""name": "a.service", "restart": { "atMost": 0, "within": 0, "timeout": "48h", "often": 1 }"#
    ), @r#"
    trackers.t.unit.restart.atMost = 0: must be 1 to 1000
    trackers.t.unit.restart.within = 0: must be 10ms to 24h
    trackers.t.unit.restart.timeout = "48h": must be 10ms to 24h
    trackers.t.unit.restart.often: unknown key: must be "atMost", "timeout" or "within"
    "#);
}
