//! The rules of NixOS's firewall that an advertisement meets on ens33, abridged, with
//! `services.vrrp.openFirewall`. In nixpkgs: nixos/modules/services/networking/firewall-*.nix.

use vrrp_lab::{Host, Result};

/// Backend of `networking.firewall`.
#[derive(Clone, Copy)]
pub(crate) enum Firewall {
    Iptables,
    Nftables,
}

/// `firewall-start`, with the strict filter of reverse paths, which is the default.
const IPTABLES: &str = "\
set -e
iptables -w -N nixos-fw
iptables -w -t mangle -N nixos-fw-rpfilter
iptables -w -t mangle -A nixos-fw-rpfilter -m rpfilter --validmark -j RETURN
iptables -w -t mangle -A nixos-fw-rpfilter -p udp --sport 67 --dport 68 -j RETURN
iptables -w -t mangle -A nixos-fw-rpfilter -s 0.0.0.0 -d 255.255.255.255 -p udp --sport 68 --dport 67 -j RETURN
iptables -w -t mangle -A nixos-fw-rpfilter -j DROP
iptables -w -t mangle -A PREROUTING -j nixos-fw-rpfilter
iptables -w -A nixos-fw -i ens33 -p 112 -j ACCEPT
iptables -w -A nixos-fw -j DROP
iptables -w -A INPUT -j nixos-fw
";

/// The table `nixos-fw`, with the same filter.
const NFTABLES: &str = r#"
nft -f - <<'END'
table inet nixos-fw {
  chain rpfilter {
    type filter hook prerouting priority mangle + 10; policy drop;
    meta nfproto ipv4 udp sport . udp dport { 67 . 68, 68 . 67 } accept
    fib saddr . mark . iif oif exists accept
    jump rpfilter-allow
  }
  chain rpfilter-allow {
  }
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "ens33" ip protocol 112 accept
  }
}
END
"#;

impl Firewall {
    /// Starts it on a host that has none.
    pub(crate) fn start(self, host: &Host) -> Result<()> {
        run(
            host,
            match self {
                Self::Iptables => IPTABLES,
                Self::Nftables => NFTABLES,
            },
        )
    }

    /// Excepts advertisements from the filter of reverse paths, as the module does by
    /// `extraCommands` or `extraReversePathFilterRules`.
    pub(crate) fn except_advertisements(self, host: &Host) -> Result<()> {
        run(
            host,
            match self {
                Self::Iptables => {
                    "iptables -w -t mangle -I nixos-fw-rpfilter -i ens33 -p 112 -j RETURN"
                }
                Self::Nftables => {
                    "nft add rule inet nixos-fw rpfilter-allow iifname ens33 ip protocol 112 accept"
                }
            },
        )
    }
}

/// Begins `firewall-reload` of the iptables firewall: all that comes in is dropped.
pub(crate) fn begin_reload(host: &Host) -> Result<()> {
    run(
        host,
        "set -e
        iptables -w -N nixos-drop
        iptables -w -A nixos-drop -j DROP
        iptables -w -A INPUT -j nixos-drop
        iptables -w -D INPUT -j nixos-fw",
    )
}

/// Ends what [`begin_reload`] began, when the new rules are complete.
pub(crate) fn end_reload(host: &Host) -> Result<()> {
    run(
        host,
        "set -e
        iptables -w -A INPUT -j nixos-fw
        iptables -w -D INPUT -j nixos-drop",
    )
}

fn run(host: &Host, script: &str) -> Result<()> {
    host.shell(script).map(drop)
}
