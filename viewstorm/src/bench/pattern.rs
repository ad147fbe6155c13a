//! VR's message pattern without VR: the messages of an operation in their order, with no log, no storage and no
//! service behind them. Over the replicas' own transport it is what no protocol with this pattern gets under.
//!
//! ```text
//!   client   Request                         Reply
//!   r0           \--> Prepare to all ... f PrepareOk /
//! ```

use std::collections::VecDeque;

use viewstorm_protocol::vr::{
    Entries, LogEntry, LogSuffix, OpNumber, Prepare, PrepareOk, Reply, Request, VrMessage, VrRecord,
};
use viewstorm_protocol::{
    Address, ClientId, Effects, Event, Instant, Protocol, Quorum, ReplicaId, ViewNumber,
};

/// The most operations under way.
const UNDER_WAY_MAX: usize = 1 << 16;

/// A node of the pattern. The first of the group is its primary for good.
#[derive(Debug)]
pub struct Pattern {
    me: ReplicaId,
    replicas: Vec<ReplicaId>,
    /// The op-number of the latest operation.
    op: u64,
    /// The operations under way: whose, the request's number, how many have answered.
    under_way: VecDeque<(ClientId, u64, usize)>,
}

impl Pattern {
    /// The node `me` of the group `replicas`.
    pub fn new(me: ReplicaId, replicas: Vec<ReplicaId>) -> Self {
        Self {
            me,
            replicas,
            op: 0,
            under_way: VecDeque::new(),
        }
    }

    fn on_request(&mut self, request: Request, effects: &mut Effects<VrMessage, VrRecord>) {
        if self.under_way.len() >= UNDER_WAY_MAX {
            return;
        }
        let after = OpNumber(self.op);
        self.op += 1;
        let (client, request_number) = (request.client, request.request_number);
        self.under_way.push_back((client, request_number, 0));
        let entry = LogEntry {
            op: OpNumber(self.op),
            view: ViewNumber::new(0),
            client,
            request_number,
            operation: request.operation,
            checksum: 0,
        };
        let prepare = VrMessage::from(Prepare {
            view: ViewNumber::new(0),
            commit_number: after,
            suffix: LogSuffix {
                after,
                previous: 0,
                entries: Entries::from([entry]),
            },
        });
        for to in self.replicas.iter().filter(|id| **id != self.me) {
            effects.send(Address::Replica(*to), prepare.clone(), None);
        }
    }

    fn on_prepare_ok(&mut self, ok: PrepareOk, effects: &mut Effects<VrMessage, VrRecord>) {
        let first = self.op - self.under_way.len() as u64 + 1;
        let needed = Quorum::of(self.replicas.len()).majority() - 1;
        let place = ok.op_number.0.checked_sub(first);
        let Some((client, request_number, answers)) = place
            .and_then(|place| usize::try_from(place).ok())
            .and_then(|place| self.under_way.get_mut(place))
        else {
            return; // Nobody waits for it any more.
        };
        *answers += 1;
        if *answers == needed {
            let reply = VrMessage::from(Reply {
                view: ViewNumber::new(0),
                request_number: *request_number,
                result: bytes::Bytes::from_static(&[1]),
                order: ok.op_number.0,
            });
            effects.send(Address::Client(*client), reply, None);
        }
        while self
            .under_way
            .front()
            .is_some_and(|(_, _, answers)| *answers >= needed)
        {
            self.under_way.pop_front();
        }
    }
}

impl Protocol for Pattern {
    type Message = VrMessage;
    type Record = VrRecord;

    fn step(
        &mut self,
        _now: Instant,
        event: Event<VrMessage, VrRecord>,
        effects: &mut Effects<VrMessage, VrRecord>,
    ) {
        let Event::Received { from, message } = event else {
            return;
        };
        match message {
            VrMessage::Request(request) if self.replicas.first() == Some(&self.me) => {
                self.on_request(request, effects);
            }
            VrMessage::Prepare(prepare) => {
                let ok = PrepareOk {
                    view: prepare.view,
                    op_number: prepare.suffix.op_number(),
                };
                effects.send(from, ok.into(), None);
            }
            VrMessage::PrepareOk(ok) => self.on_prepare_ok(ok, effects),
            _ => {}
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use viewstorm_protocol::{Effect, Message};

    const CLIENT: ClientId = ClientId {
        endpoint: 0,
        session: 3,
    };

    /// Hands every message to its receiver until nobody says anything. Returns how many there were, and the
    /// requests that were answered.
    fn run(members: u16, requests: u64) -> (usize, Vec<u64>) {
        let group: Vec<_> = (0..members).map(ReplicaId).collect();
        let node = |id: &ReplicaId| (Pattern::new(*id, group.clone()), Effects::default());
        let mut nodes: Vec<_> = group.iter().map(node).collect();
        let request = |request_number| Request {
            epoch: ViewNumber::new(0).epoch,
            client: CLIENT,
            request_number,
            operation: bytes::Bytes::from_static(b"x").into(),
        };
        let mut flights: VecDeque<_> = (1..=requests)
            .map(|number| {
                (
                    Address::Client(CLIENT),
                    ReplicaId(0),
                    request(number).into(),
                )
            })
            .collect();
        let (mut count, mut answered) = (0, Vec::new());
        while let Some((from, to, message)) = flights.pop_front() {
            count += 1;
            let (node, effects) = &mut nodes[usize::from(to.0)];
            node.step(Instant::ORIGIN, Event::Received { from, message }, effects);
            for effect in effects.drain() {
                let Effect::Send {
                    to: there, message, ..
                } = effect
                else {
                    panic!("it only sends");
                };
                match there {
                    Address::Replica(id) => flights.push_back((Address::Replica(to), id, message)),
                    Address::Client(_) => {
                        count += 1;
                        answered.extend(message.number());
                    }
                }
            }
        }
        (count, answered)
    }

    #[test]
    fn it_has_the_messages_of_vr_and_answers_in_order() {
        for members in [3, 5] {
            let (count, answered) = run(members, 5);
            assert_eq!(count, 5 * 2 * usize::from(members));
            assert_eq!(answered, [1, 2, 3, 4, 5]);
        }
    }
}
