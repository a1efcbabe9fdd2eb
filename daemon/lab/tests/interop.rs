//! The real daemon on hosts of the lab. To be written.

fn main() -> std::process::ExitCode {
    vrrp_lab::harness::run(&[])
}
