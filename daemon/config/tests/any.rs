//! Property tests: every text yields either a configuration or at least one problem.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Values that are valid for some key and invalid for all others.
fn leaf() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(51),
        json!(255),
        json!(-20),
        json!(1.5),
        json!(1e300),
        json!("eth1"),
        json!("httpd"),
        json!("master"),
        json!("100ms"),
        json!("/bin/true"),
        json!("192.0.2.1/24"),
        json!("::1"),
        json!("router2.example"),
        json!("https://www.example/"),
        json!("200-299"),
        json!("GET"),
        json!("default"),
        json!("10.0.0.0/8"),
        json!(""),
        json!([]),
        json!({}),
    ])
}

/// Keys of the configuration, some similar to keys, and names.
fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "trackers",
        "instances",
        "script",
        "interface",
        "name",
        "ping",
        "tcp",
        "http",
        "route",
        "neighbour",
        "device",
        "url",
        "host",
        "port",
        "status",
        "headers",
        "expect",
        "insecure",
        "caFile",
        "method",
        "packets",
        "maxLost",
        "command",
        "interval",
        "timeout",
        "rise",
        "fall",
        "hold",
        "initial",
        "upDelay",
        "user",
        "state",
        "virtualRouterId",
        "priority",
        "version",
        "advertInterval",
        "preempt",
        "preemptDelay",
        "startupDelay",
        "trustWire",
        "trackInterface",
        "notify",
        "any",
        "retries",
        "onReload",
        "style",
        "announce",
        "burst",
        "delay",
        "refresh",
        "pace",
        "unicast",
        "peers",
        "ttl",
        "minTtl",
        "acceptMode",
        "authentication",
        "pass",
        "password",
        "passwordFile",
        "hmac",
        "keys",
        "key",
        "keyFile",
        "activeKey",
        "timeWindow",
        "1",
        "track",
        "tracker",
        "weight",
        "virtualAddresses",
        "routes",
        "rules",
        "destination",
        "gateway",
        "nextHops",
        "onLink",
        "table",
        "scope",
        "from",
        "syncGroups",
        "file",
        "prioritty",
        "virtual_router_id",
        "httpd",
        "VI_1",
        "a b",
        "",
    ])
    .prop_map(str::to_owned)
}

fn any_value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            object(key(), inner),
        ]
    })
}

fn object(
    key: impl Strategy<Value = String>,
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Value> {
    prop::collection::vec((key, value), 0..8)
        .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>()))
}

/// A valid configuration, except for some entries of its instance and its trackers.
fn nearly_valid() -> impl Strategy<Value = Value> {
    let changes = || prop::collection::vec((key(), any_value()), 0..3);
    let all = (any::<bool>(), changes(), changes(), changes(), changes());
    all.prop_map(|(has_hmac, of_instance, of_script, of_page, of_way)| {
        let mut script = json!({ "command": ["/bin/true"], "interval": 2 });
        let mut page = json!({
            "url": "https://192.0.2.1/", "headers": { "Authorization": "s3cret!" },
        });
        let mut way = json!({ "destination": "default", "neighbour": true, "interval": 2 });
        let mut instance = json!({
            "routes": [{ "destination": "default", "nextHops": [{ "gateway": "192.0.2.9" }] }],
            "rules": [{ "from": "10.0.0.0/8", "table": 100 }],
            "interface": "eth1", "virtualRouterId": 51, "version": 2, "track": ["httpd"],
            "authentication": { "pass": { "password": "s3cret!!!" } },
            "virtualAddresses": ["192.0.2.1/24"],
        });
        if has_hmac {
            instance["authentication"] =
                json!({ "hmac": { "keys": { "1": { "key": "s3cret" } } } });
        }
        for (object, changes) in [
            (&mut instance, of_instance),
            (&mut script, of_script),
            (&mut page, of_page),
            (&mut way, of_way),
        ] {
            for (key, value) in changes {
                object[key] = value;
            }
        }
        let trackers = json!({
            "httpd": { "script": script }, "page": { "http": page }, "way": { "route": way },
        });
        json!({ "trackers": trackers, "instances": { "VI_1": instance } })
    })
}

fn loads_or_reports_problems(text: &str) -> Result<(), TestCaseError> {
    if let Err(problems) = vrrp_config::parse(text) {
        prop_assert!(!problems.as_slice().is_empty());
        for problem in problems {
            prop_assert!(!problem.message.is_empty());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_json_loads_or_reports_problems(value in any_value()) {
        loads_or_reports_problems(&value.to_string())?;
    }

    #[test]
    fn nearly_valid_json_loads_or_reports_problems(value in nearly_valid()) {
        loads_or_reports_problems(&value.to_string())?;
    }

    #[test]
    fn problems_never_contain_secrets(value in nearly_valid()) {
        if let Err(problems) = vrrp_config::parse(&value.to_string()) {
            prop_assert!(!problems.to_string().contains("s3cret"), "{}", problems);
        }
    }

    #[test]
    fn any_text_loads_or_reports_problems(text in "[{}\\[\\]\",:a-zä0-9 \n\t\\\\-]{0,60}") {
        loads_or_reports_problems(&text)?;
    }
}
