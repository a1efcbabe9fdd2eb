//! Conversions of the samples: the results and the reports as snapshots, the check of vrrp-config, and the
//! NixOS module, which has the same content as the JSON.

mod common;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vrrp_import::{Format, Kind, MemoryFiles, convert, is_keepalived};

use common::{converted, nix, sample, samples};

#[test]
fn samples_have_their_results_and_reports() {
    for name in samples() {
        let conversion = sample(&name, Format::Json);
        let output = conversion
            .output
            .unwrap_or_else(|| "no result\n".to_owned());
        insta::assert_snapshot!(name.as_str(), format!("{output}\n{}", conversion.report));
    }
}

#[test]
fn every_result_passes_the_check_of_the_daemon() {
    for name in samples() {
        let conversion = sample(&name, Format::Json);
        match conversion.output {
            Some(output) => {
                let checked = vrrp_config::parse(&output);
                assert!(checked.is_ok(), "{name}: {checked:?}");
            }
            None => assert!(conversion.report.has(Kind::Error), "{name}"),
        }
    }
}

/// The NixOS module has the same content. `UPDATE_NIX=1 cargo test -p vrrp-import` writes the files, which
/// treefmt formats.
#[test]
fn nixos_module_has_the_content_of_the_json() {
    for name in samples() {
        let Some(text) = sample(&name, Format::Nix).output else {
            continue;
        };
        let json = sample(&name, Format::Json)
            .output
            .expect("the same input has a result");
        let expected: Value = serde_json::from_str(&json).unwrap();
        let mut found = nix::parse(&text);
        let vrrp = found["services"]["vrrp"].as_object_mut().unwrap();
        assert_eq!(vrrp.remove("enable"), Some(json!(true)), "{name}");
        assert_eq!(vrrp.remove("openFirewall"), Some(json!(true)), "{name}");
        assert_eq!(found["services"]["vrrp"], expected, "{name}");

        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/nix")
            .join(format!("{name}.nix"));
        if std::env::var_os("UPDATE_NIX").is_some() {
            fs::write(&file, &text).unwrap();
        }
        assert_eq!(
            fs::read_to_string(&file).unwrap_or_default(),
            text,
            "{}",
            file.display()
        );
    }
}

#[test]
fn odd_names_and_texts_are_quoted_in_nix() {
    let text = r#"
vrrp_script in {
    script "/bin/sh -c 'echo \\ $x {} \$y $\{z}'"
    timeout 1
}
vrrp_instance 1.a {
    interface eth0
    virtual_router_id 1
    virtual_ipaddress {
        192.0.2.1
    }
}
"#;
    let nix = converted(text, Format::Nix);
    let expected: Value = serde_json::from_str(&converted(text, Format::Json)).unwrap();
    assert!(
        nix.contains("\"in\" = {") && nix.contains("\"1.a\" = {"),
        "{nix}"
    );
    assert_eq!(
        nix::parse(&nix)["services"]["vrrp"]["trackers"],
        expected["trackers"],
        "{nix}"
    );
}

/// A default that no instance needs is no unknown keyword.
#[test]
fn defaults_without_an_instance_are_known() {
    let text = "global_defs {\ndefault_interface eth0\nscript_user root\nvrrp_version 3\nvrrp_strict\n\
                vrrp_startup_delay 1\nvrrp_garp_interval 1\nvrrp_gna_interval 1\nvrrp_garp_master_delay 1\n\
                vrrp_garp_master_repeat 1\nvrrp_garp_master_refresh 1\nvrrp_garp_lower_prio_repeat 1\n}\n";
    assert_eq!(converted(text, Format::Json), "{}\n");
}

#[test]
fn global_sync_daemon_belongs_to_the_instance_that_it_names() {
    let instance = |name, vrid| {
        format!(
            "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {vrid}\nvirtual_ipaddress {{\n192.0.2.{vrid}\n}}\n}}\n"
        )
    };
    let daemon = "global_defs {\nlvs_sync_daemon eth1 B id 7 maxlen 1500 port 8849 ttl 2 group 224.0.0.82\n}\n";
    let text = [daemon, &instance("A", 1), &instance("B", 2)].concat();
    let json: Value = serde_json::from_str(&converted(&text, Format::Json)).unwrap();
    assert_eq!(json["instances"]["A"]["lvsSyncInterface"], Value::Null);
    assert_eq!(json["instances"]["B"]["lvsSyncInterface"], "eth1");
    let lvs =
        json!({ "syncId": 7, "maxLength": 1500, "port": 8849, "ttl": 2, "group": "224.0.0.82" });
    assert_eq!(json["instances"]["B"]["lvs"], lvs);
}

#[test]
fn secrets_are_in_no_report() {
    let text = "
$PW = s3cret
vrrp_instance VI_1 {
    interface eth1
    virtual_router_id 51
    authentication {
        auth_type PASS
        auth_pass s3cretsecret s3cret
        s3cret
    }
    auth_hmac {
        key 1 s3cret s3cret
        key 300 s3cret
        s3cret 1
    }
    virtual_ipaddress {
        192.0.2.1
    }
}
";
    let files = MemoryFiles::default().with("/k.conf", text);
    let report = convert(&files, Path::new("/k.conf"), "", Format::Json).report;
    let places: Vec<_> = report
        .entries()
        .iter()
        .filter_map(|entry| entry.position.as_ref())
        .collect();
    let lines: Vec<_> = places.iter().map(|position| position.line).collect();
    assert_eq!(lines, [2, 8, 8, 9, 12, 13, 14], "{report}");
    assert!(!report.to_string().contains("s3cret"), "{report}");
}

#[test]
fn format_is_recognised() {
    for name in samples() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/samples")
            .join(format!("{name}.conf"));
        assert!(is_keepalived(&fs::read_to_string(file).unwrap()), "{name}");
    }
    for text in [
        "",
        "{ \"instances\": {} }",
        "{\n\"a\": \"\nvrrp_instance\n\" }",
        "hello",
        "[vrrp_instance]",
    ] {
        assert!(!is_keepalived(text), "{text}");
    }
}
