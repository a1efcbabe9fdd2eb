//! Answers in words.

use std::sync::Arc;

use vrrp_commands::{Answer, Request, Scope};
use vrrp_config::suggest;
use vrrp_proto::State;
use vrrp_proto::operator::StandingCommand;

use crate::channel::Effect;

/// Answer to a request for an instance that is not configured.
pub(super) fn unknown(request: &Request, known: &[Arc<str>]) -> Answer {
    let name = match request.instance() {
        Some(Scope::Name(name)) => &**name,
        Some(Scope::All) | None => "",
    };
    let known = || known.iter().map(|name| &**name);
    let text = match suggest(name, known()) {
        Some(meant) => format!("there is no instance {name}: did you mean {meant}?"),
        None => {
            let known: Vec<&str> = known().collect();
            format!(
                "there is no instance {name}; configured: {}",
                known.join(", ")
            )
        }
    };
    Answer::refused(text)
}

/// Answer to a request that was carried out.
pub(super) fn done(
    request: &Request,
    effects: &[Effect],
    standing: &[StandingCommand],
    ended: usize,
) -> Answer {
    let mut answer = Answer {
        done: true,
        ..Answer::default()
    };
    for effect in effects {
        let Effect {
            instance, from, to, ..
        } = effect;
        if effect.is_owner && request.lasts().is_some() {
            answer.problems.push(format!(
                "{instance} owns its addresses (priority 255): commands do not concern it"
            ));
        } else if from != to {
            answer.lines.push(format!("{instance}: {from} -> {to}"));
        } else {
            answer.lines.push(stays(request, instance, *to));
        }
    }
    if let Request::End { command, instance } = request
        && ended == 0
    {
        let of = match instance {
            Scope::All => String::new(),
            Scope::Name(name) => format!(" of {name}"),
        };
        let line = format!("no {command}{of} was in force: nothing has changed");
        answer.lines.insert(0, line);
    }
    if let Request::End { command, .. } = request
        && standing.iter().any(|other| other.order.kind() != *command)
    {
        answer
            .lines
            .push("other commands still stand: see vrrpd status".to_owned());
    }
    answer
}

/// Line about an instance that keeps its state.
fn stays(request: &Request, instance: &str, state: State) -> String {
    match (request, state) {
        (Request::Drain { .. }, State::Master) => {
            format!("{instance}: master with priority 1 until another host takes over")
        }
        (Request::Announce { .. }, State::Master) => format!("{instance}: announced"),
        (Request::Announce { .. }, _) => {
            format!("{instance}: {state}: only a master announces")
        }
        _ => format!("{instance}: {state}"),
    }
}

/// Lines about the present states.
pub(super) fn states(effects: &[Effect]) -> impl Iterator<Item = String> {
    let line = |effect: &Effect| format!("{}: {}", effect.instance, effect.to);
    effects.iter().map(line)
}
