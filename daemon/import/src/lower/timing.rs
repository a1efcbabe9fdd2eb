//! Priority, version, interval, preemption and announcements of an instance.

use core::net::IpAddr;

use super::Context;
use crate::document::Object;
use crate::place::Place;
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;
use crate::settings::{At, Micros, Settings};

/// Properties of an instance that decide about others.
pub(super) struct Role {
    /// Priority 255, or `state MASTER`.
    is_master: bool,
    /// Priority 255.
    pub(super) is_owner: bool,
    pub(super) version: i64,
    /// Place of `strict_mode` or `vrrp_strict`, if it applies.
    pub(super) strict: Option<Place>,
}

/// Reads state, priority and version.
pub(super) fn role(
    instance: &mut Object,
    settings: &Settings<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) -> Role {
    let state = state(settings, notes);
    let is_given_master = state.is_some_and(|word| word.text == "MASTER");
    let priority = settings
        .last("priority")
        .and_then(|given| given.number(1..=255, notes));
    let is_owner = priority.map_or(is_given_master, |priority| priority.value == 255);
    let strict = strict(settings, context, notes);
    let mut is_master = is_given_master;
    if let Some(word) = state {
        if strict.is_some() && is_given_master != is_owner {
            let message = if is_owner {
                "keepalived begins as the master with strict mode and priority 255, and so does this"
            } else {
                "keepalived begins as a backup with strict mode unless the priority is 255, and so does this"
            };
            notes.differs(word.place, message);
            is_master = is_owner;
        }
        let state = if is_master { "master" } else { "backup" };
        instance.set("state", state, word.place);
    }
    if let Some(priority) = priority {
        instance.set("priority", priority.value, priority.place);
    } else if is_given_master && let Some(state) = state {
        let message = "`state MASTER` without `priority` is priority 255 in keepalived, and so written here: an \
                       owner never yields; write the priority that is meant";
        notes.differs(state.place, message);
        instance.set("priority", 255, state.place);
    }
    Role {
        is_master: is_master || is_owner,
        is_owner,
        version: version(instance, settings, context, notes),
        strict,
    }
}

/// Reads the state. After `state MASTER` keepalived ignores `state BACKUP`.
fn state<'s>(settings: &Settings<'s>, notes: &mut Notes) -> Option<&'s Word> {
    let mut state: Option<&Word> = None;
    for statement in settings.all("state") {
        let Some(word) = statement.one(notes) else {
            continue;
        };
        let was_master = state.is_some_and(|before| before.text == "MASTER");
        match word.text.as_str() {
            "BACKUP" if was_master => notes.error(
                word.place,
                "keepalived ignores `state BACKUP` after `state MASTER`: remove one of them",
            ),
            "MASTER" | "BACKUP" => state = Some(word),
            other => notes.unknown(word.place, "state", other, ["MASTER", "BACKUP"]),
        }
    }
    state
}

/// Returns the place of `strict_mode` or `vrrp_strict`. vrrpd has no strict mode: the settings that keepalived
/// changes in it are written as they are then, with an entry in the report for each.
fn strict(settings: &Settings<'_>, context: &Context<'_>, notes: &mut Notes) -> Option<Place> {
    let given = settings
        .last("strict_mode")
        .or_else(|| context.globals.last("vrrp_strict"));
    let given = given.filter(|given| given.flag(notes) == Some(true))?;
    let message = "vrrpd has no strict mode: packets to the addresses are dropped (`acceptMode`), and an advertisement \
                   of a lower priority causes no announcement, as in keepalived; received advertisements are not \
                   checked more strictly";
    notes.differs(given.place(), message);
    Some(given.place())
}

/// Reads the version, which is 2 by default, and 3 for IPv6.
fn version(
    instance: &mut Object,
    settings: &Settings<'_>,
    context: &Context<'_>,
    notes: &mut Notes,
) -> i64 {
    let given = settings
        .last("version")
        .or_else(|| context.globals.last("vrrp_version"));
    let version = given.and_then(|given| given.number(2..=3, notes));
    let is_ipv6 = is_ipv6(settings);
    if let Some(native) = settings.last("native_ipv6").filter(|_| !is_ipv6) {
        let message = "`native_ipv6` does not fit to IPv4 addresses: remove it, or write the IPv4 addresses into \
                       `virtual_ipaddress_excluded`";
        notes.error(native.place(), message);
    }
    let number = match version {
        _ if is_ipv6 => 3,
        Some(At { value, .. }) => value,
        None => 2,
    };
    if number != 3 || version.is_some() {
        // An instance without a version has the place of its first setting.
        let place = version.map(|version| version.place);
        let place = place.or_else(|| settings.last("virtual_router_id").map(Statement::place));
        instance.set("version", number, place.unwrap_or_default());
    }
    if let Some(At { value: 2, place }) = version
        && number == 3
    {
        notes.differs(
            place,
            "version 2 has no IPv6: keepalived uses version 3, and so does this",
        );
    }
    number
}

/// Whether the instance advertises IPv6: by its first address, its source, its peers or `native_ipv6`.
pub(super) fn is_ipv6(settings: &Settings<'_>) -> bool {
    let is_v6 = |text: &str| {
        let address = text.split('/').next().unwrap_or_default();
        address == "default6" || matches!(address.parse(), Ok(IpAddr::V6(_)))
    };
    let first = settings
        .all("virtual_ipaddress")
        .iter()
        .flat_map(|block| block.inside())
        .next();
    let source = settings
        .last("unicast_src_ip")
        .or_else(|| settings.last("mcast_src_ip"));
    let source = source.and_then(|source| source.arguments.first());
    let peer = settings
        .all("unicast_peer")
        .iter()
        .flat_map(|block| block.inside())
        .next();
    let hint = first
        .map(|first| &first.keyword)
        .or(source)
        .or(peer.map(|peer| &peer.keyword));
    hint.map_or_else(
        || settings.last("native_ipv6").is_some(),
        |word| is_v6(&word.text),
    )
}

/// Intervals of a version: their unit, and the longest.
struct Intervals {
    unit: u64,
    most: u64,
    rule: &'static str,
}

const INTERVALS_OF_2: Intervals = Intervals {
    unit: SECOND,
    most: 255 * SECOND,
    rule: "1 s to 255 s in whole seconds",
};
const INTERVALS_OF_3: Intervals = Intervals {
    unit: 10_000,
    most: 40_950_000,
    rule: "10 ms to 40.95 s in steps of 10 ms",
};
const SECOND: u64 = 1_000_000;

impl Intervals {
    /// Rounds as keepalived does; 0 is its default, a second.
    fn round(&self, interval: Micros) -> Micros {
        match interval.0 {
            0 => Micros(SECOND),
            given => Micros((given + self.unit / 2) / self.unit * self.unit)
                .clamp(Micros(self.unit), Micros(self.most)),
        }
    }
}

/// Converts `advert_int`.
pub(super) fn interval(
    instance: &mut Object,
    settings: &Settings<'_>,
    role: &Role,
    notes: &mut Notes,
) {
    let Some(given) = settings
        .last("advert_int")
        .and_then(|given| given.seconds(255, notes))
    else {
        return;
    };
    let intervals = if role.version == 2 {
        INTERVALS_OF_2
    } else {
        INTERVALS_OF_3
    };
    let interval = intervals.round(given.value);
    if interval != given.value {
        let message = format!(
            "version {} has intervals of {}: it becomes {interval}, as with keepalived",
            role.version, intervals.rule
        );
        notes.differs(given.place, message);
    }
    instance.set("advertInterval", interval, given.place);
}

/// Longest delay.
const DELAY: u64 = 1000;

/// Converts `nopreempt`, `preempt_delay` and `vrrp_startup_delay`.
pub(super) fn preemption(
    instance: &mut Object,
    settings: &Settings<'_>,
    context: &Context<'_>,
    role: &Role,
    notes: &mut Notes,
) {
    for keyword in ["preempt", "nopreempt"] {
        for statement in settings.all(keyword) {
            statement.without_value(notes);
        }
    }
    let refusal = settings.last("nopreempt");
    let preempt = settings.last_of(&["preempt", "nopreempt"]);
    let refuses =
        preempt.is_some() && preempt.map(Statement::place) == refusal.map(Statement::place);
    let mut ignored = |statement: &Statement, with: &str| {
        let message = format!(
            "keepalived ignores `{}` with {with}, and so it is left out",
            statement.keyword.text
        );
        notes.differs(statement.place(), message);
    };
    let reason = if role.is_owner {
        "priority 255"
    } else {
        "`state MASTER`"
    };
    let mut is_refused = false;
    if let Some(refusal) = refusal.filter(|_| refuses) {
        if role.is_master {
            ignored(refusal, reason);
        } else {
            instance.set("preempt", false, refusal.place());
            is_refused = true;
        }
    }
    if let Some(delay) = settings.last("preempt_delay") {
        if is_refused {
            ignored(delay, "`nopreempt`");
        } else if role.strict.is_some() {
            ignored(delay, "strict mode");
        } else if role.is_master {
            ignored(delay, reason);
        } else if let Some(delay) = delay.seconds(DELAY, notes) {
            instance.set("preemptDelay", delay.value, delay.place);
        }
    }
    let startup = context.globals.last("vrrp_startup_delay");
    if let Some(delay) = startup.and_then(|given| given.seconds(DELAY, notes)) {
        instance.set("startupDelay", delay.value, delay.place);
    }
}

/// Converts the settings of announcements (gratuitous ARP).
pub(super) fn announcements(
    instance: &mut Object,
    settings: &Settings<'_>,
    context: &Context<'_>,
    role: &Role,
    notes: &mut Notes,
) {
    let globals = &context.globals;
    let given = |own, general| settings.last(own).or_else(|| globals.last(general));
    let mut announce = Object::default();
    let burst = given("garp_master_repeat", "vrrp_garp_master_repeat");
    if let Some(burst) = burst.and_then(|given| given.number(1..=i64::MAX, notes)) {
        if burst.value > 100 {
            notes.differs(
                burst.place,
                "vrrpd sends each announcement at most 100 times",
            );
        }
        announce.set("burst", burst.value.min(100), burst.place);
    }
    let delay = given("garp_master_delay", "vrrp_garp_master_delay");
    if let Some(delay) = delay.and_then(|given| given.seconds(DELAY, notes)) {
        announce.set("delay", delay.value, delay.place);
    }
    let refresh = given("garp_master_refresh", "vrrp_garp_master_refresh");
    if let Some(refresh) = refresh.and_then(|given| given.seconds(24 * 60 * 60, notes)) {
        announce.set("refresh", refresh.value, refresh.place);
    }
    let again = given("garp_lower_prio_repeat", "vrrp_garp_lower_prio_repeat");
    if let Some(place) = role.strict {
        announce.set("onLowerPriority", false, place);
    } else if let Some(again) = again.and_then(|given| given.number(0..=i64::MAX, notes)) {
        if again.value > 1 {
            notes.differs(again.place, "announced `announce.burst` times");
        }
        announce.set("onLowerPriority", again.value > 0, again.place);
    }
    let gap = globals.last_of(&["vrrp_garp_interval", "vrrp_gna_interval"]);
    if let Some(gap) = gap
        .and_then(|given| given.seconds(u32::MAX.into(), notes))
        .filter(|gap| gap.value.0 > 0)
    {
        if gap.value.0 > SECOND {
            notes.differs(
                gap.place,
                "vrrpd announces at least one address in a second",
            );
        }
        let pace = i64::try_from(SECOND / gap.value.0).unwrap_or(1).max(1);
        announce.set("pace", pace, gap.place);
    }
    let place = announce
        .0
        .first()
        .map(|(_, node)| node.place)
        .unwrap_or_default();
    instance.set_some("announce", announce, place);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Kind::{Differs, Error};
    use crate::testing::{file, instance};

    #[test]
    fn strict_mode_writes_settings_as_keepalived_changes_them() {
        let settings = "state MASTER\npreempt_delay 5\naccept\nauthentication {\nauth_type PASS\nauth_pass 1111\n}";
        for found in [
            instance("global_defs { vrrp_strict }", settings),
            instance("", &format!("strict_mode on\n{settings}")),
        ] {
            let vi = found.instance();
            assert_eq!(vi["state"], "backup", "{found}");
            assert_eq!(vi["acceptMode"], false, "{found}");
            assert_eq!(
                vi["announce"],
                json!({ "onLowerPriority": false }),
                "{found}"
            );
            for absent in ["preemptDelay", "authentication"] {
                assert_eq!(vi[absent], json!(null), "{found}");
            }
            assert_eq!(found.count(Differs), 5, "{found}");
        }
    }

    #[test]
    fn strict_mode_leaves_accept_to_version_3_and_state_to_owner() {
        let found = instance("", "strict_mode\nversion 3\naccept\nnopreempt");
        assert_eq!(found.instance()["acceptMode"], json!(null), "{found}");
        assert_eq!(found.instance()["preempt"], false, "{found}");
        let owner = file(
            "vrrp_instance VI_1 {\ninterface eth1\nstrict_mode\nstate BACKUP\nvirtual_router_id 1\npriority 255\n\
             virtual_ipaddress {\n192.0.2.1\n}\n}\n",
        );
        assert_eq!(owner.instance()["state"], "master", "{owner}");
        assert_eq!(owner.instance()["acceptMode"], json!(null), "{owner}");
    }

    #[test]
    fn strict_mode_of_instance_overrides_that_of_all() {
        let found = instance(
            "global_defs { vrrp_strict }",
            "strict_mode off\nstate MASTER\nauthentication {\nauth_type PASS\nauth_pass 1111\n}",
        );
        assert_eq!(found.instance()["state"], "master", "{found}");
        assert_eq!(
            found.instance()["authentication"]["pass"]["password"],
            "1111",
            "{found}"
        );
    }

    #[test]
    fn words_after_nopreempt_are_ignored_as_in_keepalived() {
        let found = instance("", "nopreempt off");
        assert_eq!(found.instance()["preempt"], false, "{found}");
        assert!(
            found.reports(Differs, "4:11: `nopreempt` has no value"),
            "{found}"
        );
    }

    #[test]
    fn native_ipv6_decides_without_an_address() {
        let excluded = "vrrp_instance VI_1 {\ninterface eth1\nvirtual_router_id 1\nnative_ipv6\n\
                        virtual_ipaddress {\nfe80::1\n}\n}\n";
        assert_eq!(file(excluded).instance()["version"], json!(null));
        let found = instance("", "native_ipv6");
        assert!(
            found.reports(Error, "4:1: `native_ipv6` does not fit"),
            "{found}"
        );
    }

    #[test]
    fn slow_announcements_become_one_in_a_second() {
        let found = instance("global_defs { vrrp_garp_interval 5 }", "");
        assert_eq!(found.instance()["announce"]["pace"], 1, "{found}");
        assert!(found.reports(Differs, "1:34: vrrpd announces"), "{found}");
    }

    #[test]
    fn state_backup_after_master_is_rejected() {
        let found = instance("", "state MASTER\nstate BACKUP");
        assert!(
            found.reports(Error, "5:7: keepalived ignores `state BACKUP`"),
            "{found}"
        );
        let found = instance("", "state BACKUP\nstate MASTER");
        assert_eq!(found.instance()["state"], "master", "{found}");
    }

    #[test]
    fn interval_is_rounded_to_that_of_the_version() {
        let found = instance("", "advert_int 1.6");
        assert_eq!(found.instance()["advertInterval"], 2, "{found}");
        assert!(
            found.reports(Differs, "4:12: version 2 has intervals of 1 s"),
            "{found}"
        );
        let found = instance("", "version 3\nadvert_int 0.014");
        assert_eq!(found.instance()["advertInterval"], "10ms", "{found}");
    }
}
