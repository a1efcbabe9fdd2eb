//! Interoperation of vrrpd and keepalived as master and backup of each other, in versions 2 and 3. tshark
//! checks every packet from vrrpd.

#[path = "../common/mod.rs"]
mod common;
mod dialect;
mod hmac;
mod peers;
mod together;

use std::process::ExitCode;

use vrrp_lab::daemons::{find_in_path, keepalived_program};

fn main() -> ExitCode {
    let mut missing = Vec::new();
    if keepalived_program().is_none() {
        missing.push("keepalived (apt-get install keepalived)");
    }
    if find_in_path("tshark").is_none() {
        missing.push("tshark (apt-get install tshark)");
    }
    let mut tests = tests![
        together:
            ours_leads_in_version_2_with_the_courses_configuration,
            keepalived_leads_in_version_2_with_the_courses_configuration,
            ours_leads_in_version_3,
            keepalived_leads_in_version_3,
            equal_priority_elects_greater_address_in_version_2,
            equal_priority_elects_greater_address_in_version_3;
    ]
    .to_vec();
    let message_only = tests![
        together:
            ours_leads_when_keepalived_leaves_out_the_pseudo_header,
            keepalived_leads_and_leaves_out_the_pseudo_header;
    ];
    if dialect::keepalived_knows_message_only() {
        tests.extend(message_only);
    } else if missing.is_empty() {
        for (name, _) in message_only {
            common::say(&format!(
                "{name}: NOT RUN: this keepalived has no v3_checksum_as_v2"
            ));
        }
    }
    let signed = tests![
        hmac:
            both_sign_in_version_2,
            both_sign_in_version_3,
            both_sign_over_ipv6;
    ];
    if dialect::keepalived_knows_hmac() {
        tests.extend(signed);
    } else if missing.is_empty() {
        for (name, _) in signed {
            common::say(&format!(
                "{name}: NOT RUN: this keepalived has no auth_hmac"
            ));
        }
    }
    common::main(&tests, &missing)
}
