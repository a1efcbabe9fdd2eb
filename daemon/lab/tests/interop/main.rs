//! Interoperation of vrrpd and keepalived as master and backup of each other, in versions 2 and 3. tshark
//! checks every packet from vrrpd.

#[path = "../common/mod.rs"]
mod common;
mod dialect;
mod hmac;
mod peers;
mod together;

use std::process::ExitCode;

use vrrp_lab::daemons::{PeerProgram, find_in_path};
use vrrp_lab::harness::{MadeTest, Test};

fn main() -> ExitCode {
    let keepalived = PeerProgram::keepalived();
    let mut missing = Vec::new();
    if keepalived.is_none() {
        missing.push("keepalived (apt-get install keepalived)");
    }
    if find_in_path("tshark").is_none() {
        missing.push("tshark (apt-get install tshark)");
    }
    let with = |keyword: Option<&'static str>, tests: &[Test<'_>]| -> Vec<MadeTest> {
        let unknown = keyword.filter(|word| {
            keepalived
                .as_ref()
                .is_some_and(|program| !program.knows(word))
        });
        let lacking = unknown.map(|word| format!("this keepalived has no {word}"));
        let made = |test| MadeTest::new(test, lacking.as_deref());
        tests.iter().map(made).collect()
    };
    let tests = [
        with(
            None,
            &tests![
                together:
                    ours_leads_in_version_2_with_the_courses_configuration,
                    keepalived_leads_in_version_2_with_the_courses_configuration,
                    ours_leads_in_version_3,
                    keepalived_leads_in_version_3,
                    equal_priority_elects_greater_address_in_version_2,
                    equal_priority_elects_greater_address_in_version_3;
            ],
        ),
        // Since 2.3.2.
        with(
            Some("v3_checksum_as_v2"),
            &tests![
                together:
                    ours_leads_when_keepalived_leaves_out_the_pseudo_header,
                    keepalived_leads_and_leaves_out_the_pseudo_header;
            ],
        ),
        // Since 2.4.0; a form that vrrpd understands since 2.4.2.
        with(
            Some("auth_hmac"),
            &tests![
                hmac:
                    both_sign_in_version_2,
                    both_sign_in_version_3,
                    both_sign_over_ipv6;
            ],
        ),
    ];
    common::main_of(tests.into_iter().flatten().collect(), &missing, None)
}
