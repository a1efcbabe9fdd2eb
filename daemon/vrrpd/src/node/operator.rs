//! Commands of the operator, handed to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use vrrp_commands::{Lasting, Request, Scope};
use vrrp_proto::operator::{CommandKey, CommandKind, Order, StandingCommand};
use vrrp_proto::{Input, Instant, State};

use super::Node;
use crate::channel::{Effect, Operation, Outcome};

impl Node {
    /// Carries out a command and replies with its outcome.
    pub(super) fn operate(&mut self, now: Instant, operation: Operation) {
        let Operation { request, by, reply } = operation;
        let states = self.turns.engine().states();
        let before: BTreeMap<Arc<str>, State> = states
            .map(|(name, state)| (Arc::clone(name), state))
            .collect();
        let named = match request.instance() {
            Some(Scope::Name(name)) => Some(Arc::clone(name)),
            Some(Scope::All) | None => None,
        };
        let stands = |name: &Arc<str>| {
            let mut standing = self.turns.engine().standing_commands();
            standing.any(|command| command.order.router() == Some(name))
        };
        // A command may stand for an instance that is not configured any more.
        if let Some(name) = &named
            && !before.contains_key(name)
            && !(matches!(request, Request::End { .. }) && stands(name))
        {
            // The client may have disconnected.
            return drop(reply.send(Outcome::Unknown(before.into_keys().collect())));
        }
        let instances = match &named {
            Some(name) => vec![Arc::clone(name)],
            None => before.keys().cloned().collect(),
        };
        let stood = self.turns.engine().standing_commands().count();
        self.give(now, &request, &instances, named.as_ref(), &by);
        let engine = self.turns.engine();
        let effect = |(name, to): (&Arc<str>, State)| Effect {
            instance: Arc::clone(name),
            from: before.get(name).copied().unwrap_or(to),
            to,
            is_owner: engine.is_owner(name) == Some(true),
        };
        // Of a sync group the other members move too.
        let concerned =
            |effect: &Effect| effect.from != effect.to || instances.contains(&effect.instance);
        let standing: Vec<_> = engine.standing_commands().cloned().collect();
        let outcome = Outcome::Done {
            effects: engine.states().map(effect).filter(concerned).collect(),
            ended: stood.saturating_sub(standing.len()),
            standing,
        };
        drop(reply.send(outcome));
    }

    /// Hands the inputs of a request for these instances to the engine.
    fn give(
        &mut self,
        now: Instant,
        request: &Request,
        instances: &[Arc<str>],
        named: Option<&Arc<str>>,
        by: &Arc<str>,
    ) {
        let each = instances.iter().cloned();
        let orders: Vec<Order> = match request {
            Request::Drain { last_resort, .. } => vec![Order::Drain {
                last_resort: *last_resort,
            }],
            Request::StepDown { last_resort, .. } => each
                .map(|router| Order::StepDown {
                    router,
                    last_resort: *last_resort,
                })
                .collect(),
            Request::Priority { value, .. } => each
                .map(|router| Order::Priority {
                    router,
                    priority: *value,
                })
                .collect(),
            Request::Announce { .. } => {
                let router = named.map(|name| &**name);
                return self.hand(now, Input::Announce(router));
            }
            Request::End { command, .. } => {
                for key in self.standing(*command, named) {
                    let by = Arc::clone(by);
                    self.hand(now, Input::EndCommand { key, by });
                }
                return;
            }
            Request::Reload { .. } => return,
        };
        let span = request.lasts().and_then(Lasting::duration);
        for order in orders {
            let command = StandingCommand {
                order,
                until: span.map(|span| now + span),
                by: Arc::clone(by),
                reason: request.reason().cloned(),
            };
            self.hand(now, Input::Command(command));
        }
    }

    /// Keys of the standing commands of a kind: for this instance, which may not be configured any more,
    /// or all.
    fn standing(&self, kind: CommandKind, named: Option<&Arc<str>>) -> Vec<CommandKey> {
        let standing = self.turns.engine().standing_commands();
        let keys = standing.map(|command| command.order.key());
        keys.filter(|key| {
            key.kind == kind && named.is_none_or(|name| key.router.as_ref() == Some(name))
        })
        .collect()
    }
}
