//! Keywords that are not converted, with the reason and the alternative, and those that need no setting.
//! docs/keepalived.md has the same reasons in more words.

use crate::settings::Fate::{Lacking, LackingUnless, Same};
use crate::settings::Table;

/// Blocks and keywords outside of blocks.
pub(super) const TOP: Table = &[
    (
        &["virtual_server", "virtual_server_group", "SSL"],
        Lacking(
            "vrrpd manages no IPVS services: keep keepalived's checker (`keepalived --check`), or use ipvsadm",
        ),
    ),
    (
        &["bfd_instance"],
        Lacking("vrrpd speaks no BFD: use a `ping` or `route` tracker, or an interval below 1 s"),
    ),
    (
        &[
            "static_ipaddress",
            "static_routes",
            "static_rules",
            "track_group",
        ],
        Lacking("it does not depend on the master: configure it with the network of the host"),
    ),
    (
        &["garp_group"],
        Lacking("vrrpd has one limit for an instance: `announce.pace`; use `vrrp_garp_interval`"),
    ),
    (&["linkbeat_interfaces", "linkbeat_use_polling"], Same),
    (
        &[
            "net_namespace",
            "net_namespace_ipvs",
            "namespace_with_ipsets",
        ],
        Lacking("start the daemon with `vrrpd run --netns NAME`"),
    ),
    (&["instance", "use_pid_dir", "child_wait_time"], Same),
];

const PROCESSES: &str = "systemd sets priority, CPUs and memory of the daemon";
const SNMP: &str =
    "vrrpd has no SNMP and no D-Bus: use `vrrpd status --json`, or a program of `notify`";
const MAIL: &str = "vrrpd sends no mail: use a program of `notify` (docs/notify.md has an example)";
const FIFO: &str =
    "write a program of `notify` that writes into the FIFO (docs/notify.md has an example)";
const IPVS: &str = "vrrpd manages no IPVS services";
const NEIGHBOURS: &str = "a macvlan announces its addresses on its own";

/// Keywords of `global_defs`.
pub(super) const GLOBAL: Table = &[
    (
        &[
            "router_id",
            "process_names",
            "process_name",
            "vrrp_process_name",
            "use_symlink_paths",
        ],
        Same,
    ),
    (
        &[
            "checker_process_name",
            "lvs_process_name",
            "bfd_process_name",
            "set_supplementary_groups",
        ],
        Same,
    ),
    (
        &[
            "enable_script_security",
            "vrrp_check_unicast_src",
            "dynamic_interfaces",
            "use_pid_dir",
        ],
        Same,
    ),
    (
        &[
            "vrrp_higher_prio_send_advert",
            "vrrp_min_garp",
            "vrrp_ipsets",
            "vrrp_iptables",
            "nftables",
        ],
        Same,
    ),
    (
        &[
            "nftables_priority",
            "nftables_ifindex",
            "nftables_counters",
            "v3_checksum_as_v2",
        ],
        Same,
    ),
    (
        &[
            "disable_local_igmp",
            "random_seed",
            "umask",
            "json_version",
            "data_use_instance",
        ],
        Same,
    ),
    (
        &[
            "vrrp_rx_bufs_policy",
            "vrrp_rx_bufs_multiplier",
            "process_monitor_rcv_bufs",
        ],
        Same,
    ),
    (
        &[
            "process_monitor_rcv_bufs_force",
            "vrrp_netlink_cmd_rcv_bufs",
            "vrrp_netlink_cmd_rcv_bufs_force",
        ],
        Same,
    ),
    (
        &[
            "vrrp_netlink_monitor_rcv_bufs",
            "vrrp_netlink_monitor_rcv_bufs_force",
            "log_unknown_vrids",
        ],
        Same,
    ),
    (
        &[
            "reload_check_config",
            "config_save_dir",
            "tmp_config_directory",
            "child_wait_time",
        ],
        Same,
    ),
    (
        &[
            "iproute_usr_dir",
            "iproute_etc_dir",
            "include_check",
            "linkbeat_use_polling",
        ],
        Same,
    ),
    (
        &[
            "max_auto_priority",
            "min_auto_priority_delay",
            "vrrp_priority",
            "vrrp_no_swap",
        ],
        Lacking(PROCESSES),
    ),
    (
        &[
            "vrrp_rt_priority",
            "vrrp_cpu_affinity",
            "vrrp_rlimit_rttime",
            "vrrp_rlimit_rtime",
        ],
        Lacking(PROCESSES),
    ),
    (
        &[
            "snmp_socket",
            "enable_traps",
            "enable_snmp_vrrp",
            "enable_snmp_keepalived",
        ],
        Lacking(SNMP),
    ),
    (
        &[
            "enable_snmp_rfc",
            "enable_snmp_rfcv2",
            "enable_snmp_rfcv3",
            "enable_snmp_checker",
        ],
        Lacking(SNMP),
    ),
    (
        &[
            "snmp_vs_stats_update_interval",
            "snmp_rs_stats_update_interval",
            "enable_dbus",
        ],
        Lacking(SNMP),
    ),
    (
        &["dbus_service_name", "dbus_no_interface_name"],
        Lacking(SNMP),
    ),
    (
        &[
            "notification_email",
            "notification_email_from",
            "smtp_server",
            "smtp_helo_name",
        ],
        Lacking(MAIL),
    ),
    (
        &[
            "smtp_connect_timeout",
            "smtp_alert",
            "smtp_alert_vrrp",
            "smtp_alert_checker",
        ],
        Lacking(MAIL),
    ),
    (&["no_email_faults", "no_checker_emails"], Lacking(MAIL)),
    (
        &[
            "notify_fifo",
            "notify_fifo_script",
            "vrrp_notify_fifo",
            "vrrp_notify_fifo_script",
        ],
        Lacking(FIFO),
    ),
    (
        &[
            "fifo_write_vrrp_states_on_reload",
            "lvs_notify_fifo",
            "lvs_notify_fifo_script",
        ],
        Lacking(FIFO),
    ),
    (
        &[
            "lvs_timeouts",
            "lvs_flush",
            "lvs_flush_on_stop",
            "lvs_flush_onstop",
            "nftables_ipvs",
        ],
        Lacking(IPVS),
    ),
    (
        &[
            "nftables_ipvs_priority",
            "nftables_ipvs_start_fwmark",
            "rs_init_notifies",
        ],
        Lacking(IPVS),
    ),
    (
        &[
            "checker_priority",
            "checker_no_swap",
            "checker_rt_priority",
            "checker_cpu_affinity",
        ],
        Lacking(IPVS),
    ),
    (
        &[
            "checker_rlimit_rttime",
            "checker_rlimit_rtime",
            "checker_log_all_failures",
        ],
        Lacking(IPVS),
    ),
    (
        &["lvs_netlink_cmd_rcv_bufs", "lvs_netlink_cmd_rcv_bufs_force"],
        Lacking(IPVS),
    ),
    (
        &[
            "lvs_netlink_monitor_rcv_bufs",
            "lvs_netlink_monitor_rcv_bufs_force",
        ],
        Lacking(IPVS),
    ),
    (
        &[
            "bfd_priority",
            "bfd_no_swap",
            "bfd_rt_priority",
            "bfd_cpu_affinity",
        ],
        Lacking("vrrpd speaks no BFD"),
    ),
    (
        &["bfd_rlimit_rttime", "bfd_rlimit_rtime"],
        Lacking("vrrpd speaks no BFD"),
    ),
    (
        &["net_namespace", "net_namespace_ipvs"],
        Lacking("start the daemon with `vrrpd run --netns NAME`"),
    ),
    (
        &["instance"],
        Lacking(
            "give each daemon a file of its own, and a directory: `vrrpd run --config FILE --runtime-dir DIR`",
        ),
    ),
    (
        &["vrrp_mcast_group4"],
        LackingUnless(
            "224.0.0.18",
            "RFC 9568 section 5.1.1.2 demands 224.0.0.18: use `unicast_peer`",
        ),
    ),
    (
        &["vrrp_mcast_group6"],
        LackingUnless(
            "ff02::12",
            "RFC 9568 section 5.1.2.2 demands ff02::12: use `unicast_peer`",
        ),
    ),
    (
        &["vrrp_lower_prio_no_advert"],
        LackingUnless("false", ANSWER),
    ),
    (&["vrrp_down_timer_adverts"], LackingUnless("3", DOWN)),
    (&["vrrp_garp_lower_prio_delay"], Lacking(AGAIN)),
    (
        &["vrrp_garp_master_refresh_repeat"],
        LackingUnless("1", REPEAT),
    ),
    (
        &["vrrp_garp_extra_if", "vrrp_vmac_garp_intvl"],
        Lacking(NEIGHBOURS),
    ),
    (&["vrrp_skip_check_adv_addr"], LackingUnless("false", LISTS)),
    (
        &["vrrp_owner_ignore_adverts"],
        LackingUnless("false", OWNER),
    ),
    (
        &["vrrp_notify_priority_changes"],
        LackingUnless("false", PRIORITY),
    ),
    (
        &["vrrp_delay_after_boot"],
        Lacking("use `vrrp_startup_delay`, which counts from the start of the daemon"),
    ),
    (&["vmac_prefix", "vmac_addr_prefix"], Lacking(VMAC)),
    (
        &[
            "startup_script",
            "shutdown_script",
            "startup_script_timeout",
            "shutdown_script_timeout",
        ],
        Lacking("use ExecStartPre= and ExecStopPost= of the systemd unit"),
    ),
    (
        &["reload_file", "reload_repeat", "reload_time_file"],
        Lacking("vrrpd reloads at SIGHUP: use a systemd timer with `systemctl reload`"),
    ),
    (
        &["state_dump_file", "stats_dump_file", "json_dump_file"],
        Lacking("use `vrrpd status --json`"),
    ),
];

const ANSWER: &str =
    "RFC 9568 section 6.4.3 demands an advertisement in answer to a lower priority";
const DOWN: &str = "a backup waits for three intervals and the skew time (RFC 9568 section 6.1)";
const AGAIN: &str =
    "addresses are announced again at once, at most once a second (`announce.onLowerPriority`)";
const REPEAT: &str = "each announcement is sent `announce.burst` times";
const LISTS: &str = "lists of addresses are compared, and need only one address in common";
const OWNER: &str = "an owner that receives another owner logs it and compares the addresses";
const PRIORITY: &str = "`vrrpd status` and the log show changes of the priority";
const VMAC: &str = "`vrrp4.VRID.INTERFACE` has the MAC address of RFC 9568 section 7.3, and cleanup knows the name";
const TIMER: &str = "a late wake-up needs no setting: a master that was stopped listens first";

/// Keywords of a `vrrp_instance`.
pub(super) const INSTANCE: Table = &[
    (
        &["debug", "linkbeat_use_polling", "promote_secondaries"],
        Same,
    ),
    (
        &[
            "check_unicast_src",
            "unicast_fault_no_peer",
            "higher_prio_send_advert",
        ],
        Same,
    ),
    (
        &[
            "v3_checksum_as_v2",
            "old_unicast_checksum",
            "kernel_rx_buf_size",
            "track_src_ip",
            "vrf",
        ],
        Same,
    ),
    (&["lower_prio_no_advert"], LackingUnless("false", ANSWER)),
    (&["down_timer_adverts"], LackingUnless("3", DOWN)),
    (&["garp_lower_prio_delay"], Lacking(AGAIN)),
    (&["garp_master_refresh_repeat"], LackingUnless("1", REPEAT)),
    (&["garp_extra_if", "vmac_garp_intvl"], Lacking(NEIGHBOURS)),
    (&["skip_check_adv_addr"], LackingUnless("false", LISTS)),
    (&["owner_ignore_adverts"], LackingUnless("false", OWNER)),
    (
        &["notify_priority_changes"],
        LackingUnless("false", PRIORITY),
    ),
    (
        &["timer_expired_backup", "thread_timer_expired"],
        Lacking(TIMER),
    ),
    (
        &["mcast_dst_ip"],
        Lacking("RFC 9568 section 5.1.1.2 demands 224.0.0.18: use `unicast_peer`"),
    ),
    (
        &["track_bfd"],
        Lacking("vrrpd speaks no BFD: use a `ping` or `route` tracker"),
    ),
    (
        &["use_vmac_addr"],
        Lacking("with `virtualMac` the addresses of other devices stay on these devices"),
    ),
    (
        &["use_ipvlan"],
        Lacking("vrrpd has macvlan interfaces only: use `use_vmac`"),
    ),
    (&["smtp_alert"], Lacking(MAIL)),
    (
        &["notify_deleted"],
        Lacking("the program of `notify_stop` runs when a reload removes the instance"),
    ),
];

/// Keywords of a `vrrp_sync_group`.
pub(super) const GROUP: Table = &[
    (&["global_tracking", "sync_group_tracking_weight"], Same),
    (
        &["track_bfd"],
        Lacking("vrrpd speaks no BFD: use a `ping` or `route` tracker"),
    ),
    (&["smtp_alert"], Lacking(MAIL)),
    (
        &["notify_priority_changes"],
        LackingUnless("false", PRIORITY),
    ),
    (
        &["notify_deleted"],
        Lacking("the program of `notify_stop` runs when a reload removes the group"),
    ),
];

/// Keywords of a `vrrp_script`.
pub(super) const SCRIPT: Table = &[];

/// Keywords of a `track_file`.
pub(super) const FILE: Table = &[(
    &["init_file"],
    Lacking("vrrpd writes no files: write it before the start, with systemd-tmpfiles for example"),
)];

/// Keywords of `authentication` and `auth_hmac`, and of a `vrrp_track_process`.
pub(super) const NONE: Table = &[];
