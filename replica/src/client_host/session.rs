//! Client sessions and their timers.

use std::collections::{BTreeMap, BTreeSet};

use viewstorm_protocol::{Client, ClientEffects, ClientId, Instant};

/// How many sessions are open at once.
pub(super) const SESSIONS_MAX: usize = 1 << 16;

/// One session.
pub(super) struct Session<C: Client> {
    pub(super) core: C,
    pub(super) effects: ClientEffects<C::Message>,
    /// Whether an operation waits for its answer.
    pub(super) outstanding: bool,
    /// When its timer will ring; later ones may be due, and ring in vain.
    armed: Option<Instant>,
}

/// All open sessions.
pub(super) struct Sessions<C: Client> {
    sessions: BTreeMap<ClientId, Session<C>>,
    timers: BTreeSet<(Instant, ClientId)>,
    factory: Box<dyn Fn(ClientId) -> C>,
}

impl<C: Client> Sessions<C> {
    pub(super) const fn new(factory: Box<dyn Fn(ClientId) -> C>) -> Self {
        Self {
            sessions: BTreeMap::new(),
            timers: BTreeSet::new(),
            factory,
        }
    }

    /// The session, opened if it is not open; none if too many are.
    pub(super) fn open(&mut self, id: ClientId) -> Option<&mut Session<C>> {
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&id) {
            return None;
        }
        let open = || Session {
            core: (self.factory)(id),
            effects: ClientEffects::default(),
            outstanding: false,
            armed: None,
        };
        Some(self.sessions.entry(id).or_insert_with(open))
    }

    pub(super) fn get_mut(&mut self, id: ClientId) -> Option<&mut Session<C>> {
        self.sessions.get_mut(&id)
    }

    /// Ends a session. Its timer rings in vain.
    pub(super) fn retire(&mut self, id: ClientId) {
        self.sessions.remove(&id);
    }

    /// Sees to it that the session's timer rings no later than its core wants. One that is set and rings
    /// earlier is left alone: timeouts that are forever put off cost nothing.
    pub(super) fn arm(&mut self, id: ClientId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if let Some(at) = session.core.next_timeout()
            && session.armed.is_none_or(|armed| at < armed)
        {
            session.armed = Some(at);
            self.timers.insert((at, id));
        }
    }

    /// Takes a session whose core's timeout has passed, if there is one.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<ClientId> {
        while let Some((at, id)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            if session.armed != Some(at) {
                continue;
            }
            session.armed = None;
            if session.core.next_timeout().is_some_and(|at| at <= now) {
                return Some(id);
            }
            self.arm(id);
        }
        None
    }

    /// When the next timer rings.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use viewstorm_protocol::ReplicaId;
    use viewstorm_protocol::vr::{VrClient, VrClientTimeouts};

    use super::*;

    const ID: ClientId = ClientId {
        endpoint: 0,
        session: 1,
    };
    const RESEND: Duration = Duration::from_millis(100);

    fn sessions() -> Sessions<VrClient> {
        let timeouts = VrClientTimeouts { resend: RESEND };
        Sessions::new(Box::new(move |id| {
            VrClient::new(id, vec![ReplicaId(0)], timeouts)
        }))
    }

    fn invoke(sessions: &mut Sessions<VrClient>, now: Instant) {
        let session = sessions.open(ID).unwrap();
        session.core.invoke(now, Bytes::new(), &mut session.effects);
        sessions.arm(ID);
    }

    #[test]
    fn a_timer_rings_when_its_core_wants_it_and_not_before() {
        let mut sessions = sessions();
        invoke(&mut sessions, Instant::ORIGIN);
        let due = Instant::ORIGIN + RESEND;
        assert_eq!(sessions.next_timeout(), Some(due));
        assert_eq!(sessions.take_due(Instant::ORIGIN), None);
        assert_eq!(sessions.take_due(due), Some(ID));
        let session = sessions.get_mut(ID).unwrap();
        session.core.timeout(due, &mut session.effects);
        sessions.arm(ID);
        assert_eq!(sessions.take_due(due), None);
        assert_eq!(sessions.take_due(due + RESEND), Some(ID));
    }

    #[test]
    fn a_retired_session_leaves_only_a_timer_that_rings_in_vain() {
        let mut sessions = sessions();
        invoke(&mut sessions, Instant::ORIGIN);
        sessions.retire(ID);
        assert!(sessions.get_mut(ID).is_none());
        assert_eq!(sessions.take_due(Instant::ORIGIN + RESEND), None);
        assert_eq!(sessions.next_timeout(), None);
    }
}
