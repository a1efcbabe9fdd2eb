//! Rules of NixOS's firewall that apply to advertisements on ens33, abridged, with those of
//! `services.vrrp.openFirewall`. In nixpkgs: nixos/modules/services/networking/firewall-*.nix; here:
//! nixos/firewall.nix.

use vrrp_lab::{Host, Result};

/// Backend of `networking.firewall`.
#[derive(Clone, Copy)]
pub(crate) enum Backend {
    Iptables,
    Nftables,
}

/// Firewall of a host with an instance on ens33.
pub(crate) struct Firewall {
    pub(crate) backend: Backend,
    /// Sender of unicast advertisements.
    pub(crate) peer: Option<&'static str>,
}

impl Firewall {
    /// Installs the firewall on a host without one. It accepts advertisements, and its reverse path filter
    /// is strict, which is the default.
    pub(crate) fn start(&self, host: &Host) -> Result<()> {
        let advertisements = self.advertisements();
        let script = match self.backend {
            Backend::Iptables => format!(
                "set -e
                iptables -w -N nixos-fw
                iptables -w -t mangle -N nixos-fw-rpfilter
                iptables -w -t mangle -A nixos-fw-rpfilter -m rpfilter --validmark -j RETURN
                iptables -w -t mangle -A nixos-fw-rpfilter -p udp --sport 67 --dport 68 -j RETURN
                iptables -w -t mangle -A nixos-fw-rpfilter -j DROP
                iptables -w -t mangle -A PREROUTING -j nixos-fw-rpfilter
                iptables -w -A nixos-fw {advertisements} -j ACCEPT
                iptables -w -A nixos-fw -j DROP
                iptables -w -A INPUT -j nixos-fw"
            ),
            Backend::Nftables => format!(
                "exec nft -f - <<'END'
                table inet nixos-fw {{
                  chain rpfilter {{
                    type filter hook prerouting priority mangle + 10; policy drop;
                    meta nfproto ipv4 udp sport . udp dport {{ 67 . 68, 68 . 67 }} accept
                    fib saddr . mark . iif oif exists accept
                    jump rpfilter-allow
                  }}
                  chain rpfilter-allow {{
                  }}
                  chain input {{
                    type filter hook input priority filter; policy drop;
                    {advertisements} accept
                  }}
                }}\nEND"
            ),
        };
        run(host, &script)
    }

    /// Exempts advertisements from the reverse path filter, as the module does in `extraCommands` or
    /// `extraReversePathFilterRules`.
    pub(crate) fn except_advertisements(&self, host: &Host) -> Result<()> {
        let advertisements = self.advertisements();
        let script = match self.backend {
            Backend::Iptables => {
                format!("iptables -w -t mangle -I nixos-fw-rpfilter {advertisements} -j RETURN")
            }
            Backend::Nftables => {
                format!("nft 'add rule inet nixos-fw rpfilter-allow {advertisements} accept'")
            }
        };
        run(host, &script)
    }

    /// Match expression of the module's rules.
    fn advertisements(&self) -> String {
        match (self.backend, self.peer) {
            (Backend::Iptables, None) => "-i ens33 -p 112 -d 224.0.0.18".into(),
            (Backend::Iptables, Some(peer)) => format!("-i ens33 -p 112 -s {peer}"),
            (Backend::Nftables, None) => {
                r#"iifname "ens33" ip protocol 112 ip daddr 224.0.0.18"#.into()
            }
            (Backend::Nftables, Some(peer)) => {
                format!(r#"iifname "ens33" ip protocol 112 ip saddr {peer}"#)
            }
        }
    }
}

/// Starts the `firewall-reload` of the iptables firewall: all incoming packets are dropped.
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

/// Ends the reload of [`begin_reload`], when the new rules are complete.
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
