//! Examples of the objects. A test reads each one with the parser of the configuration.

/// Returns the example of the object at `place`.
pub(super) fn example(place: &str) -> &'static str {
    let found = EXAMPLES.iter().find(|(at, _)| *at == place);
    found.map_or("", |(_, example)| example)
}

/// Keys of the configuration or of an instance, by the place of the object.
const EXAMPLES: &[(&str, &str)] = &[
    (
        super::TOP,
        r#"
"trackers": { "web": { "tcp": { "host": "127.0.0.1", "port": 80 } } },
"instances": {
  "VI_1": {
    "interface": "eth1",
    "virtualRouterId": 51,
    "priority": 150,
    "track": ["web"],
    "virtualAddresses": ["192.0.2.100/24", "2001:db8::100/64"]
  }
}"#,
    ),
    (
        "instances.*",
        r#"
"instances": {
  "VI_1": {
    "interface": "eth1",
    "virtualRouterId": 51,
    "priority": 150,
    "advertInterval": "100ms",
    "preemptDelay": "30s",
    "virtualAddresses": ["192.0.2.100/24"]
  }
}"#,
    ),
    (
        "instances.*.announce",
        r#""announce": { "burst": 3, "delay": "2s", "refresh": "10m" }"#,
    ),
    (
        "instances.*.authentication",
        r#"
"version": 2,
"authentication": { "pass": { "passwordFile": "/etc/vrrpd/password" } }"#,
    ),
    (
        "instances.*.authentication.hmac",
        r#"
"authentication": {
  "hmac": {
    "keys": {
      "1": { "keyFile": "/etc/vrrpd/key.1" },
      "2": { "keyFile": "/etc/vrrpd/key.2" }
    },
    "activeKey": 2,
    "mode": "enforce"
  }
}"#,
    ),
    (
        "instances.*.authentication.hmac.keys.*",
        r#"
"authentication": {
  "hmac": {
    "keys": { "1": { "key": "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" } }
  }
}"#,
    ),
    (
        "instances.*.authentication.pass",
        r#"
"version": 2,
"authentication": { "pass": { "password": "1111" } }"#,
    ),
    (
        "instances.*.lvs",
        r#""lvsSyncInterface": "eth2", "lvs": { "syncId": 7, "group": "239.0.0.81" }"#,
    ),
    (
        "instances.*.notify",
        r#"
"notify": {
  "master": ["/usr/local/bin/attach-address", "192.0.2.100"],
  "stop": ["/usr/local/bin/detach-address", "192.0.2.100"],
  "timeout": "10s"
}"#,
    ),
    (
        "instances.*.resources",
        r#""resources": { "units": ["httpd.service", "backup.timer"], "handover": "after-stop" }"#,
    ),
    (
        "instances.*.routes[]",
        r#""routes": [{ "destination": "default", "gateway": "192.0.2.1", "source": "192.0.2.100", "table": 100 }]"#,
    ),
    (
        "instances.*.routes[].nextHops[]",
        r#"
"routes": [{
  "destination": "198.51.100.0/24",
  "nextHops": [{ "gateway": "192.0.2.1" }, { "gateway": "192.0.2.2", "weight": 2 }]
}]"#,
    ),
    (
        "instances.*.rules[]",
        r#""rules": [{ "from": "192.0.2.100/32", "table": 100 }]"#,
    ),
    (
        "instances.*.track[]",
        r#""track": ["web", { "tracker": "uplink", "weight": -20 }]"#,
    ),
    (
        "instances.*.unicast",
        r#""unicast": { "peers": ["192.0.2.11", "router2.example"], "minTtl": 254 }"#,
    ),
    (
        "instances.*.virtualAddresses[]",
        r#"
"virtualAddresses": [
  "192.0.2.100/24",
  { "address": "198.51.100.100/24", "device": "eth2", "advertise": false }
]"#,
    ),
    (
        "instances.*.virtualMac",
        r#""virtualMac": { "sendFrom": "base" }"#,
    ),
    (
        "syncGroups.*",
        r#""syncGroups": { "VG_1": { "members": ["VI_1", "VI_2"], "track": ["uplink"] } }"#,
    ),
    (
        "trackers.*",
        r#""trackers": { "uplink": { "interface": { "name": "eth0" } } }"#,
    ),
    (
        "trackers.*.file",
        r#""trackers": { "load": { "file": { "path": "/run/load", "hold": "10s" } } }"#,
    ),
    (
        "trackers.*.http",
        r#"
"trackers": {
  "page": { "http": { "url": "https://www.example/health", "status": [200, "300-399"], "interval": "2s", "fall": 3 } }
}"#,
    ),
    (
        "trackers.*.interface",
        r#""trackers": { "uplink": { "interface": { "name": "eth0", "upDelay": "3s" } } }"#,
    ),
    (
        "trackers.*.ping",
        r#""trackers": { "gateway": { "ping": { "host": "192.0.2.1", "packets": 3, "maxLost": 1, "timeout": "300ms" } } }"#,
    ),
    (
        "trackers.*.process",
        r#""trackers": { "database": { "process": { "name": "postgres", "atLeast": 2, "downDelay": "500ms" } } }"#,
    ),
    (
        "trackers.*.route",
        r#""trackers": { "default": { "route": { "destination": "default", "neighbour": true, "fall": 3 } } }"#,
    ),
    (
        "trackers.*.script",
        r#""trackers": { "web": { "script": { "command": ["/usr/local/bin/check-web", "80"], "interval": 2, "fall": 3 } } }"#,
    ),
    (
        "trackers.*.tcp",
        r#""trackers": { "mail": { "tcp": { "host": "127.0.0.1", "port": 25, "expect": "220 ", "interval": "2s" } } }"#,
    ),
    (
        "trackers.*.unit",
        r#""trackers": { "web": { "unit": { "name": "httpd.service", "restart": true } } }"#,
    ),
    (
        "trackers.*.unit.restart",
        r#"
"trackers": {
  "web": { "unit": { "name": "httpd.service", "restart": { "atMost": 5, "within": "10m" } } }
}"#,
    ),
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{TOP, reference};
    use super::EXAMPLES;
    use crate::{Secrets, parse};

    #[test]
    fn example_of_each_section_is_valid_without_warning() {
        for section in reference() {
            let place = &section.places[0];
            assert!(!section.example.is_empty(), "{place} has no example");
            let text = whole(section.example).to_string();
            match parse(&text) {
                Err(problems) => panic!("example of {place}: {problems}\n{text}"),
                Ok(checked) => {
                    let loaded = checked.complete(Secrets::Skip, None);
                    let warnings = loaded.expect("secrets are skipped").warnings;
                    assert!(
                        warnings.is_empty(),
                        "example of {place}: {warnings:?}\n{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn example_contains_object_of_its_section() {
        for section in reference() {
            let place = section.places[0].trim_start_matches(TOP);
            let whole = whole(section.example);
            assert!(
                contains(&whole, place),
                "the example of {place} is about another object"
            );
        }
    }

    #[test]
    fn example_belongs_to_a_section() {
        for (place, _) in EXAMPLES {
            let sections = reference();
            let mut titles = sections.iter().map(|section| &section.places[0]);
            assert!(titles.any(|title| title == place), "no section {place}");
        }
    }

    /// A configuration with the keys of `example`, and with the instances and trackers that it mentions.
    fn whole(example: &str) -> Value {
        let keys: Value = serde_json::from_str(&format!("{{{example}}}")).expect("JSON");
        let mut instance = json!({
            "interface": "eth1", "virtualRouterId": 51, "virtualAddresses": ["192.0.2.100/24"],
        });
        let mut whole = json!({});
        let of_instance = ["trackers", "instances", "syncGroups"]
            .iter()
            .all(|key| keys.get(key).is_none());
        let target = if of_instance {
            &mut instance
        } else {
            &mut whole
        };
        for (key, value) in keys.as_object().expect("an object") {
            target[key] = value.clone();
        }
        if whole.get("instances").is_none() {
            whole["instances"] = json!({ "VI_1": instance });
            if whole.get("syncGroups").is_some() {
                let mut second = instance.clone();
                second["virtualRouterId"] = json!(52);
                second["virtualAddresses"] = json!(["192.0.2.101/24"]);
                whole["instances"]["VI_2"] = second;
            }
        }
        if whole.get("trackers").is_none() {
            let named = ["web", "uplink"];
            let text = whole.to_string();
            for name in named
                .iter()
                .filter(|name| text.contains(&format!("\"{name}\"")))
            {
                whole["trackers"][name] = json!({ "interface": { "name": "eth0" } });
            }
        } else if whole["instances"]["VI_1"].get("track").is_none() {
            let trackers = whole["trackers"].as_object().expect("an object");
            let names: Vec<_> = trackers.keys().cloned().collect();
            whole["instances"]["VI_1"]["track"] = json!(names);
        }
        whole
    }

    /// Whether there is an object, no other value, at `place`.
    fn contains(value: &Value, place: &str) -> bool {
        let (step, rest) = place.split_once('.').unwrap_or((place, ""));
        match step.strip_suffix("[]") {
            _ if place.is_empty() => value.is_object(),
            None if step == "*" => {
                let mut values = value
                    .as_object()
                    .into_iter()
                    .flat_map(|object| object.values());
                values.any(|value| contains(value, rest))
            }
            None => contains(&value[step], rest),
            Some(key) => {
                let mut elements = value[key].as_array().into_iter().flatten();
                elements.any(|element| contains(element, rest))
            }
        }
    }
}
