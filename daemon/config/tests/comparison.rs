//! Differences between the configurations of several hosts: each with the files, the values and the rule.

use insta::assert_snapshot;
use vrrp_config::{ComparedHost, Loaded, Secrets, compare, parse};

/// Compares hosts with these instances and groups. Their files are a.json, b.json, and so on.
fn compared<const N: usize>(hosts: [&str; N]) -> String {
    let loaded = hosts.map(|host| loaded(&format!("{{ {host} }}")));
    let files: Vec<String> = ('a'..).take(N).map(|name| format!("{name}.json")).collect();
    let hosts = files.iter().zip(&loaded);
    let hosts: Vec<ComparedHost<'_>> = hosts
        .map(|(file, configuration)| ComparedHost {
            file,
            configuration,
        })
        .collect();
    let differences: Vec<String> = compare(&hosts).iter().map(ToString::to_string).collect();
    differences.join("\n")
}

fn loaded(text: &str) -> Loaded {
    let checked = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    checked
        .complete(Secrets::Skip, None)
        .expect("no file is read")
}

/// Compares hosts that have these entries in one instance.
fn compared_instances<const N: usize>(entries: [&str; N]) -> String {
    let hosts = entries.map(|entries| {
        let addresses = match entries.contains("virtualAddresses") {
            true => "",
            false => r#", "virtualAddresses": ["192.0.2.100/24", "192.0.2.101/24"]"#,
        };
        let vrid = match entries.contains("virtualRouterId") {
            true => "",
            false => r#", "virtualRouterId": 51"#,
        };
        format!(
            r#""instances": {{ "VI_1": {{ "interface": "eth1", {entries} {addresses} {vrid} }} }}"#
        )
    });
    compared(hosts.each_ref().map(String::as_str))
}

#[test]
fn hosts_that_differ_in_priority_and_interface_fit() {
    assert_eq!(
        compared([
            r#""instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51, "priority": 150,
                 "source": "192.0.2.1", "unicast": { "peers": ["192.0.2.2", "192.0.2.3"] },
                 "virtualAddresses": ["192.0.2.100/24"] } }"#,
            r#""instances": { "web": { "interface": "ens3", "virtualRouterId": 51, "priority": 100,
                 "source": "192.0.2.2", "unicast": { "peers": ["192.0.2.1", "192.0.2.3"] },
                 "virtualAddresses": ["192.0.2.100/24"] } }"#,
            r#""instances": { "VI_9": { "interface": "bond0", "virtualRouterId": 51, "priority": 50,
                 "unicast": { "peers": ["192.0.2.1", "192.0.2.2", "192.0.2.3"] },
                 "virtualAddresses": ["192.0.2.100/24"] } }"#,
        ]),
        ""
    );
}

#[test]
fn interval_of_minority_is_marked() {
    assert_snapshot!(compared_instances([
        r#""version": 2, "priority": 150"#,
        r#""version": 2, "priority": 100, "advertInterval": 2"#,
        r#""version": 2, "priority": 50"#,
    ]), @r"
    error: advertInterval must be the same on all hosts: with version 2 a host drops advertisements of another interval and becomes master too
      a.json: instances.VI_1.advertInterval = 1s
      b.json: instances.VI_1.advertInterval = 2s: most hosts have 1s
      c.json: instances.VI_1.advertInterval = 1s
    ");
}

#[test]
fn interval_matters_less_with_version_3() {
    assert_snapshot!(compared_instances([
        r#""priority": 150"#,
        r#""priority": 100, "advertInterval": "100ms""#,
    ]), @r"
    warning: advertInterval should be the same on all hosts: a backup uses the interval of the master, so the time of a take-over depends on the master
      a.json: instances.VI_1.advertInterval = 1s
      b.json: instances.VI_1.advertInterval = 100ms
    ");
}

#[test]
fn vrid_and_version_are_the_same() {
    assert_snapshot!(compared_instances([
        r#""virtualRouterId": 51, "version": 2, "priority": 150"#,
        r#""virtualRouterId": 52, "version": 3, "priority": 100"#,
    ]), @r"
    error: virtualRouterId must be the same on all hosts: a host ignores advertisements of another VRID and becomes master too
      a.json: instances.VI_1.virtualRouterId = 51
      b.json: instances.VI_1.virtualRouterId = 52
    error: version must be the same on all hosts: a host ignores advertisements of another version and becomes master too
      a.json: instances.VI_1.version = 2
      b.json: instances.VI_1.version = 3
    ");
}

#[test]
fn accept_mode_and_virtual_mac_are_the_same() {
    assert_snapshot!(compared_instances([
        r#""priority": 150, "acceptMode": false, "virtualMac": true"#,
        r#""priority": 100"#,
    ]), @r"
    error: acceptMode must be the same on all hosts: the virtual addresses would answer on some masters only
      a.json: instances.VI_1.acceptMode = false
      b.json: instances.VI_1.acceptMode = true
    warning: virtualMac should be the same on all hosts: otherwise the addresses change their MAC address at each take-over
      a.json: instances.VI_1.virtualMac = true
      b.json: instances.VI_1.virtualMac = false
    ");
    // The owner accepts packets in any case.
    assert_eq!(
        compared_instances([
            r#""priority": 255, "acceptMode": true"#,
            r#""acceptMode": false"#
        ]),
        ""
    );
}

#[test]
fn addresses_of_all_hosts_are_the_same() {
    assert_snapshot!(compared_instances([
        r#""priority": 150, "virtualAddresses": ["192.0.2.100/24", "192.0.2.101/24"]"#,
        r#""priority": 100, "virtualAddresses": ["192.0.2.100/24", "192.0.2.102/24"]"#,
        r#""priority": 50, "virtualAddresses": ["192.0.2.100/24", "192.0.2.101/24"]"#,
    ]), @r#"
    error: virtualAddresses must be the same on all hosts: an address that a host lacks is lost when that host becomes master
      a.json: instances.VI_1.virtualAddresses = ["192.0.2.100/24", "192.0.2.101/24"]
      b.json: instances.VI_1.virtualAddresses = ["192.0.2.100/24", "192.0.2.102/24"]: lacks 192.0.2.101; most hosts lack 192.0.2.102
      c.json: instances.VI_1.virtualAddresses = ["192.0.2.100/24", "192.0.2.101/24"]
    "#);
}

#[test]
fn order_and_prefix_of_addresses_matter_less() {
    assert_snapshot!(compared_instances([
        r#""priority": 150, "virtualAddresses": ["192.0.2.100/24", "192.0.2.101/24"]"#,
        r#""priority": 100, "virtualAddresses": ["192.0.2.101/24", "192.0.2.100/24"]"#,
    ]), @r#"
    note: virtualAddresses have another order: vrrpd compares the set of addresses, other implementations may not
      a.json: instances.VI_1.virtualAddresses = ["192.0.2.100/24", "192.0.2.101/24"]
      b.json: instances.VI_1.virtualAddresses = ["192.0.2.101/24", "192.0.2.100/24"]
    "#);
    assert_snapshot!(compared_instances([
        r#""priority": 150, "virtualAddresses": ["192.0.2.100/24"]"#,
        r#""priority": 100, "virtualAddresses": ["192.0.2.100/32"]"#,
    ]), @r#"
    warning: virtualAddresses should have the same prefix lengths on all hosts: the network of an address follows from its prefix
      a.json: instances.VI_1.virtualAddresses = ["192.0.2.100/24"]
      b.json: instances.VI_1.virtualAddresses = ["192.0.2.100/32"]
    "#);
}

#[test]
fn password_differs_without_being_shown() {
    let with = |priority: u8, password: &str| {
        format!(
            r#""version": 2, "priority": {priority},
               "authentication": {{ "pass": {{ "password": "{password}" }} }}"#
        )
    };
    let shown = compared_instances([
        &*with(150, "secret1"),
        &with(100, "secret2"),
        &with(50, "secret1"),
    ]);
    assert!(!shown.contains("secret"), "{shown}");
    assert_snapshot!(shown, @r"
    error: the password must be the same on all hosts: other advertisements are dropped
      a.json: instances.VI_1.authentication.pass
      b.json: instances.VI_1.authentication.pass: most hosts have another password
      c.json: instances.VI_1.authentication.pass
    ");
}

#[test]
fn kind_of_authentication_is_compared_without_its_secrets() {
    assert_snapshot!(compared_instances([
        r#""version": 2, "priority": 150, "authentication": { "pass": { "passwordFile": "password" } }"#,
        r#""version": 2, "priority": 100, "authentication": { "pass": { "password": "1111" } }"#,
        r#""version": 2, "priority": 50"#,
    ]), @r"
    error: authentication must be of the same kind on all hosts: other advertisements are dropped
      a.json: instances.VI_1.authentication = pass
      b.json: instances.VI_1.authentication = pass
      c.json: instances.VI_1.authentication = none: most hosts have pass
    ");
}

#[test]
fn signing_key_is_known_to_all_hosts() {
    let with = |priority: u8, mode: &str, active: u8, keys: &[(u8, char)]| {
        let keys = keys.iter().map(|(number, digit)| {
            let key = digit.to_string().repeat(64);
            format!(r#""{number}": {{ "key": "{key}" }}"#)
        });
        let keys = keys.collect::<Vec<_>>().join(", ");
        format!(
            r#""priority": {priority}, "authentication": {{ "hmac": {{ "mode": "{mode}", "activeKey": {active},
               "keys": {{ {keys} }} }} }}"#
        )
    };
    let fits = compared_instances([
        &*with(150, "enforce", 2, &[(1, 'a'), (2, 'b')]),
        &with(100, "enforce", 1, &[(1, 'a'), (2, 'b')]),
    ]);
    assert_eq!(fits, "");
    assert_snapshot!(compared_instances([
        &*with(150, "enforce", 2, &[(1, 'a'), (2, 'b')]),
        &with(100, "enforce", 1, &[(1, 'c')]),
    ]), @r"
    error: the key that a host signs with must be the same on all hosts: other advertisements are dropped
      a.json: instances.VI_1.authentication.hmac.activeKey = 2
      b.json: instances.VI_1.authentication.hmac.keys: lacks key 2
    error: the key that a host signs with must be the same on all hosts: other advertisements are dropped
      b.json: instances.VI_1.authentication.hmac.activeKey = 1
      a.json: instances.VI_1.authentication.hmac.keys: its key 1 is another one
    ");
    assert_snapshot!(compared_instances([
        &*with(150, "enforce", 1, &[(1, 'a')]),
        &with(100, "receiveOnly", 1, &[(1, 'a')]),
    ]), @r#"
    error: a host that enforces HMAC drops the advertisements of a host that does not sign: write "permissive" on both until all hosts sign
      b.json: instances.VI_1.authentication.hmac.mode = "receiveOnly"
      a.json: instances.VI_1.authentication.hmac.mode = "enforce"
    "#);
}

#[test]
fn equal_priorities_come_with_tie_break() {
    assert_snapshot!(compared_instances([
        r#""priority": 100, "source": "192.0.2.1""#,
        r#""priority": 100, "source": "192.0.2.2""#,
    ]), @r"
    warning: equal priorities: a master stays master, so that there is no failback; of two masters the one with the greater source address stays (RFC 9568 section 6.4.3). Write different priorities if the hosts have an order
      a.json: instances.VI_1.priority = 100
      b.json: instances.VI_1.priority = 100: stays, with the greatest source address
    ");
    assert_snapshot!(compared_instances([r#""priority": 100"#, r#""state": "master""#]), @r"
    warning: equal priorities: a master stays master, so that there is no failback; of two masters the one with the greater source address stays (RFC 9568 section 6.4.3). Write different priorities if the hosts have an order
      a.json: instances.VI_1.priority = 100
      b.json: instances.VI_1.priority = 100
    ");
}

#[test]
fn owner_and_source_belong_to_one_host() {
    assert_snapshot!(compared_instances([
        r#""priority": 255, "source": "192.0.2.1""#,
        r#""priority": 255, "source": "192.0.2.1""#,
    ]), @r#"
    error: priority 255 is for one host, whose own addresses the virtual ones are: write 1 to 254 on the others
      a.json: instances.VI_1.priority = 255
      b.json: instances.VI_1.priority = 255
    error: source must be an address of this host alone: a host drops advertisements from its own address
      a.json: instances.VI_1.source = "192.0.2.1"
      b.json: instances.VI_1.source = "192.0.2.1"
    "#);
}

#[test]
fn unicast_peers_name_each_other() {
    let with = |priority: u8, source: &str, peers: &str| {
        format!(r#""priority": {priority}, {source} "unicast": {{ "peers": [{peers}] }}"#)
    };
    assert_snapshot!(compared_instances([
        &*with(150, r#""source": "192.0.2.1","#, r#""192.0.2.2", "192.0.2.3""#),
        &with(100, r#""source": "192.0.2.2","#, r#""192.0.2.1", "192.0.2.4""#),
        &with(50, r#""source": "192.0.2.3","#, r#""192.0.2.1""#),
    ]), @r#"
    error: unicast.peers must name all other hosts: a host that receives no IPv4 advertisements becomes master too
      b.json: instances.VI_1.unicast.peers = ["192.0.2.1", "192.0.2.4"]: lacks 192.0.2.3 of c.json
      c.json: instances.VI_1.unicast.peers = ["192.0.2.1"]: lacks 192.0.2.2 of b.json
    "#);
    // Without `source`.
    assert_snapshot!(compared_instances([
        &*with(150, "", r#""192.0.2.2""#),
        &with(100, "", r#""192.0.2.2""#),
    ]), @r#"
    error: unicast.peers must name all other hosts: a host that receives no IPv4 advertisements becomes master too
      a.json: instances.VI_1.unicast.peers = ["192.0.2.2"]: another host names the same peer: one of them names itself
      b.json: instances.VI_1.unicast.peers = ["192.0.2.2"]: another host names the same peer: one of them names itself
    "#);
    // A name may be that of any host.
    assert_eq!(
        compared_instances([
            &*with(150, r#""source": "192.0.2.1","#, r#""two.example""#),
            &with(100, r#""source": "192.0.2.2","#, r#""192.0.2.1""#),
        ]),
        ""
    );
}

#[test]
fn unicast_is_set_on_all_hosts() {
    assert_snapshot!(compared_instances([
        r#""priority": 150, "unicast": { "peers": ["192.0.2.2", "192.0.2.3"] }"#,
        r#""priority": 100"#,
        r#""priority": 50, "unicast": { "peers": ["192.0.2.1", "192.0.2.2"] }"#,
    ]), @r"
    error: unicast must be set on all hosts or on none: a host with peers accepts no multicast, and sends none
      a.json: instances.VI_1.unicast = peers
      b.json: instances.VI_1.unicast = none: most hosts have peers
      c.json: instances.VI_1.unicast = peers
    ");
    assert_snapshot!(compared_instances([
        r#""priority": 150, "unicast": { "peers": ["192.0.2.2"], "ttl": 64 }"#,
        r#""priority": 100, "unicast": { "peers": ["192.0.2.1"] }"#,
    ]), @r"
    error: unicast.ttl must not be below the minTtl of another host, which would drop the advertisements
      a.json: instances.VI_1.unicast.ttl = 64
      b.json: instances.VI_1.unicast.minTtl = 255
    ");
}

/// Returns a host with two instances, these priorities, and these members of a group.
fn grouped(priorities: [u8; 2], members: &str) -> String {
    let [one, two] = priorities;
    format!(
        r#""instances": {{
             "VI_1": {{ "interface": "eth1", "virtualRouterId": 51, "priority": {one},
                        "virtualAddresses": ["192.0.2.100/24"] }},
             "VI_2": {{ "interface": "eth2", "virtualRouterId": 52, "priority": {two},
                        "virtualAddresses": ["198.51.100.100/24"] }} }},
           "syncGroups": {{ {members} }}"#
    )
}

#[test]
fn groups_have_the_same_members_and_order() {
    let both = r#""VG_1": { "members": ["VI_1", "VI_2"] }"#;
    let order = r#""VG": { "members": ["VI_2", "VI_1"] }"#;
    let hosts = [
        grouped([150, 150], both),
        grouped([100, 100], order),
        grouped([50, 50], both),
    ];
    assert_snapshot!(compared(hosts.each_ref().map(String::as_str)), @r#"
    error: a sync group must have the same members in the same order on all hosts: the first member in which the priorities of two hosts differ decides the election
      a.json: syncGroups.VG_1.members = ["VI_1", "VI_2"]
      b.json: syncGroups.VG.members = ["VI_2", "VI_1"]: otherwise on most hosts
      c.json: syncGroups.VG_1.members = ["VI_1", "VI_2"]
    "#);
    let hosts = [grouped([150, 150], both), grouped([100, 100], "")];
    assert_snapshot!(compared(hosts.each_ref().map(String::as_str)), @r#"
    error: a sync group must have the same members in the same order on all hosts: the first member in which the priorities of two hosts differ decides the election
      a.json: syncGroups.VG_1.members = ["VI_1", "VI_2"]
      b.json: syncGroups = no such group
    "#);
}

#[test]
fn priority_of_another_member_decides_a_tie() {
    let both = r#""VG_1": { "members": ["VI_1", "VI_2"] }"#;
    let hosts = [grouped([150, 100], both), grouped([120, 100], both)];
    assert_eq!(compared(hosts.each_ref().map(String::as_str)), "");
    let hosts = [grouped([150, 100], ""), grouped([120, 100], "")];
    assert_snapshot!(compared(hosts.each_ref().map(String::as_str)), @r"
    warning: equal priorities: a master stays master, so that there is no failback; of two masters the one with the greater source address stays (RFC 9568 section 6.4.3). Write different priorities if the hosts have an order
      a.json: instances.VI_2.priority = 100
      b.json: instances.VI_2.priority = 100
    ");
}

#[test]
fn virtual_router_of_one_host_is_named() {
    assert_snapshot!(compared([
        &*grouped([150, 150], ""),
        r#""instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51,
             "virtualAddresses": ["192.0.2.100/24"] } }"#,
        r#""instances": { "VI_1": { "interface": "eth1", "virtualRouterId": 51, "priority": 50,
             "virtualAddresses": ["192.0.2.100/24"] } }"#,
    ]), @r"
    warning: no other host has this virtual router, and none takes over: b.json, c.json
      a.json: instances.VI_2.virtualRouterId = 52
    ");
}

#[test]
fn vrid_of_another_virtual_router_clashes() {
    let host = |name: &str, address: &str| {
        format!(
            r#""instances": {{ "{name}": {{ "interface": "eth1", "virtualRouterId": 51,
                 "virtualAddresses": ["{address}"] }} }}"#
        )
    };
    assert_snapshot!(compared([
        &*host("web", "192.0.2.100/24"),
        &host("mail", "192.0.2.200/24"),
    ]), @r"
    warning: no other host has this virtual router, and none takes over: b.json
      a.json: instances.web.virtualRouterId = 51
    warning: no other host has this virtual router, and none takes over: a.json
      b.json: instances.mail.virtualRouterId = 51
    error: the same VRID on one network, for instances without a common address or name: choose another VRID for one of them, or write the same addresses on all hosts
      a.json: instances.web.virtualRouterId = 51
      b.json: instances.mail.virtualRouterId = 51
    ");
    let apart = compared([
        &*host("web", "192.0.2.100/24"),
        &host("mail", "198.51.100.200/24"),
    ]);
    assert!(!apart.contains("error"), "{apart}");
}
