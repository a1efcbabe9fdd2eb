//! Recipes of docs/recipes: each page's configuration with the real programs, and the failures that the page
//! describes.

mod cloud;
#[path = "../common/mod.rs"]
mod common;
mod dns;
mod fake;
mod gateway;
mod haproxy;
mod kubernetes;
mod nginx;
mod page;
mod pages;
mod patroni;
mod site;

use std::process::ExitCode;

use vrrp_lab::daemons::find_in_path;
use vrrp_lab::harness::{MadeTest, Test};

/// Number of parallel tests: they mostly wait for timers of a second.
const SIDE_BY_SIDE: usize = 4;

fn main() -> ExitCode {
    let always = tests![
        pages:
            configurations_of_each_page_fit_together,
            index_names_each_page;
    ];
    let always = always.iter().map(|test| MadeTest::new(test, None));
    let tests = [
        always.collect(),
        made_for_root(
            &tests![
                haproxy:
                    haproxy_pair_serves_after_each_failure,
                    haproxy_binds_the_address_only_with_the_sysctl_of_the_page;
            ],
            &[("haproxy", "haproxy")],
        ),
        made_for_root(
            &tests![nginx: nginx_pair_serves_after_each_failure;],
            &[("nginx", "nginx-light")],
        ),
        made_for_root(
            &tests![dns: resolver_pair_answers_after_each_failure;],
            &[("unbound", "unbound"), ("dig", "bind9-dnsutils")],
        ),
        made(
            &tests![
                gateway:
                    gateway_pair_translates_after_each_failure,
                    connection_waits_for_the_client_without_conntrackd;
            ],
            &[("nft", "nftables")],
        ),
        made(
            &tests![gateway: connection_survives_takeover_with_conntrackd;],
            &[
                ("nft", "nftables"),
                ("conntrackd", "conntrackd"),
                ("conntrack", "conntrack"),
            ],
        ),
        made(
            &tests![cloud: cloud_address_follows_the_master;],
            &[("python3", "python3"), ("curl", "curl")],
        ),
        made(
            &tests![patroni: address_follows_the_leader_of_patroni;],
            &[("python3", "python3")],
        ),
        made(
            &tests![kubernetes: address_follows_a_ready_api_server;],
            &[("python3", "python3"), ("openssl", "openssl")],
        ),
    ];
    common::main_of(
        tests.into_iter().flatten().collect(),
        &[],
        Some(SIDE_BY_SIDE),
    )
}

/// Tests that need these programs, each with its Debian package.
fn made(tests: &[Test<'_>], programs: &[(&str, &str)]) -> Vec<MadeTest> {
    made_where(tests, missing(programs))
}

/// Tests of services that change their user, for which a lab that an ordinary user started has no other user.
fn made_for_root(tests: &[Test<'_>], programs: &[(&str, &str)]) -> Vec<MadeTest> {
    let mut missing = missing(programs);
    if !nix::unistd::geteuid().is_root() {
        missing.push("root's rights, because the service changes its user".to_owned());
    }
    made_where(tests, missing)
}

fn missing(programs: &[(&str, &str)]) -> Vec<String> {
    programs
        .iter()
        .filter(|(program, _)| find_in_path(program).is_none())
        .map(|(program, package)| format!("{program} (apt-get install {package})"))
        .collect()
}

fn made_where(tests: &[Test<'_>], missing: Vec<String>) -> Vec<MadeTest> {
    let lacking = (!missing.is_empty()).then(|| format!("missing: {}", missing.join("; ")));
    let made = |test| MadeTest::new(test, lacking.as_deref());
    tests.iter().map(made).collect()
}
