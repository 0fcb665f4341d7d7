//! Tokens are asked for together, and so are registrations. Behind the store is one disk, whose flush all share who come at the same time,
//! so that a call of one's own would be no quicker: while a call is out, whoever comes waits for its end, and the next call takes all who
//! wait. A call costs Envoy more than verifying a signature; under load several requests pay for it together. Alone, nobody waits.
//!
//! The calls are background work: they belong to no request, and the end of one does not end what others wait for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use dcr_policy::Timestamp;
use dcr_store_protocol::Kind;
use dcr_store_protocol::bounds::{MAX_BATCH, MAX_BODY};
use serde_json::Value;

use super::{Store, StoreError, Told};
use crate::host::Host;
use crate::shared_once::SharedOnce;

/// The most bytes of the orders of one call: less than the store takes, because names and commas come between.
const MAX_BYTES: usize = MAX_BODY / 4 * 3;

/// How many wait for a call's end before another one leaves, and how many calls are out at most. One that hangs holds up few.
const BATCH_THRESHOLD: usize = 8;
const MAX_CALLS: usize = 4;

/// How long after its timeout a call counts as lost. The clock shows seconds.
const GRACE: Duration = Duration::from_secs(2);

/// The orders of one kind that wait for a call.
#[derive(Debug)]
pub(super) struct Orders {
    /// What is ordered.
    kind: Kind,
    waiting: VecDeque<Order>,
    /// How many are sending, one call after the other.
    senders: usize,
    /// When the last call left.
    sent_at: Timestamp,
}

type Outcome = Result<Rc<Told>, StoreError>;

#[derive(Debug)]
struct Order {
    text: Vec<u8>,
    outcome: SharedOnce<Outcome>,
}

impl Orders {
    /// Nobody waits yet.
    pub(super) fn of(kind: Kind) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { kind, waiting: VecDeque::new(), senders: 0, sent_at: 0 }))
    }

    /// Queues an order. Returns whether it falls to the caller to have what waits sent: nobody does, or not quickly enough. Work that the
    /// host lost never ends; whoever has sent nothing for longer than `longest` counts no more.
    fn join(&mut self, order: Order, now: Timestamp, longest: Duration) -> bool {
        self.waiting.push_back(order);
        if now.abs_diff(self.sent_at) > longest.as_secs() {
            self.senders = 0;
        }
        let is_due = self.senders == 0 || (self.senders < MAX_CALLS && self.waiting.len() >= BATCH_THRESHOLD);
        if is_due {
            self.senders = self.senders.saturating_add(1);
            self.sent_at = now;
        }
        is_due
    }

    /// The orders of the next call: all that wait, up to its bounds. Those whose request has ended are not sent. If nobody waits, there is
    /// one sender less.
    fn next(&mut self, now: Timestamp) -> Vec<Order> {
        let (mut group, mut bytes) = (Vec::new(), 0_usize);
        self.waiting.retain(|order| order.outcome.is_shared());
        while let Some(order) = self.waiting.front() {
            bytes = bytes.saturating_add(order.text.len());
            if group.len() == MAX_BATCH || (bytes > MAX_BYTES && !group.is_empty()) {
                break;
            }
            group.extend(self.waiting.pop_front());
        }
        if group.is_empty() {
            self.senders = self.senders.saturating_sub(1);
        } else {
            self.sent_at = now;
        }
        group
    }
}

impl<H: Host> Store<H> {
    /// Has the store do what `text` says. What it tells of it arrives: the status and the body it would have had as an answer of its own.
    pub(super) fn order(&self, orders: &Rc<RefCell<Orders>>, text: Vec<u8>) -> SharedOnce<Outcome> {
        let outcome = SharedOnce::default();
        let order = Order { text, outcome: outcome.clone() };
        let longest = self.config.timeout.saturating_add(GRACE);
        if orders.borrow_mut().join(order, self.host.now(), longest) {
            let (store, orders) = (self.clone(), orders.clone());
            self.host.in_background(Box::pin(async move { store.send_all(&orders).await }));
        }
        outcome
    }

    /// One call after the other, as long as anybody waits.
    async fn send_all(&self, orders: &RefCell<Orders>) {
        let kind = orders.borrow().kind;
        loop {
            let group = orders.borrow_mut().next(self.host.now());
            if group.is_empty() {
                return;
            }
            let outcomes = self.send(kind, &group).await;
            for (index, order) in group.iter().enumerate() {
                let outcome = outcomes.as_ref().map_err(|error| *error);
                // There are as many outcomes as orders.
                order.outcome.bring(outcome.and_then(|all| all.get(index).cloned().ok_or(StoreError::Unavailable)));
            }
        }
    }

    /// One call; an outcome for each order of the group.
    async fn send(&self, kind: Kind, group: &[Order]) -> Result<Vec<Rc<Told>>, StoreError> {
        let texts: Vec<&[u8]> = group.iter().map(|order| order.text.as_slice()).collect();
        let member = kind.member();
        let body = [b"{\"", member.as_bytes(), b"\":[", texts.join(&b',').as_slice(), b"]}"].concat();
        let told = self.call("POST", kind.path().to_owned(), None, Some(("application/json", body))).await?;
        if told.status != Some(200) {
            return Err(self.error(&told, &[]));
        }
        let mut body = told.body.map_err(|problem| self.failed(problem))?;
        match body.get_mut(member).map(Value::take) {
            Some(Value::Array(all)) if all.len() == group.len() => {
                Ok(all.into_iter().map(Told::among_others).collect())
            }
            _ => Err(self.failed("did not tell of each that was asked for")),
        }
    }
}

impl Told {
    /// Where several are told of in one answer, each has its status as a member.
    fn among_others(body: Value) -> Rc<Self> {
        let status = body.get("status").and_then(Value::as_u64).and_then(|status| status.try_into().ok());
        Rc::new(Self { status, body: Ok(body) })
    }
}
