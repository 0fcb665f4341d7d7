//! Registrations share calls to the store, and so do tokens. The store writes all that arrives at the same time to its disk at once, so a
//! call for each request would not be quicker. While a call is under way, new requests wait for its end; the next call carries all of them.
//! A call costs Envoy more than verifying a signature, and under load several requests share that cost. A request that is alone does not
//! wait.
//!
//! The calls are background work: they belong to no request, so the end of one request does not end a call that others wait for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use dcr_policy::Timestamp;
use dcr_store_protocol::Kind;
use dcr_store_protocol::bounds::{MAX_BATCH, MAX_BODY};
use serde_json::Value;

use super::{Reply, StoreClient};
use crate::client_store::StoreError;
use crate::host::Host;
use crate::shared_once::SharedOnce;

/// The most bytes of the elements of one call. It is less than the store accepts, because names and commas are added.
const MAX_BYTES: usize = MAX_BODY / 4 * 3;

/// How many elements must wait before another call is sent beside those under way. So a call that hangs holds up few elements.
const BATCH_THRESHOLD: usize = 8;

/// How many calls may be under way at the same time.
const MAX_CALLS: usize = 4;

/// A call counts as lost when it has not ended this long after its timeout. The clock has a resolution of one second.
const GRACE: Duration = Duration::from_secs(2);

/// The elements of one kind that wait for a call.
#[derive(Debug)]
pub(super) struct Batcher {
    /// The operation of the elements.
    kind: Kind,
    waiting: VecDeque<Element>,
    /// How many background tasks send calls, each of them one call after the other.
    senders: usize,
    /// Unix time of the last call, in seconds.
    sent_at: Timestamp,
}

type Outcome = Result<Rc<Reply>, StoreError>;

#[derive(Debug)]
struct Element {
    text: Vec<u8>,
    outcome: SharedOnce<Outcome>,
}

impl Batcher {
    /// A batcher without elements.
    pub(super) fn of(kind: Kind) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { kind, waiting: VecDeque::new(), senders: 0, sent_at: 0 }))
    }

    /// Queues an element. Returns whether the caller must start a sender: there is no sender, or too many elements wait. The host can lose
    /// work, and lost work never ends. So if no call was sent for longer than `longest`, the senders count as gone.
    fn join(&mut self, element: Element, now: Timestamp, longest: Duration) -> bool {
        self.waiting.push_back(element);
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

    /// The elements of the next call: all that wait, up to its bounds. Elements whose request has ended are left out. If no elements are
    /// left, the sender ends.
    fn next(&mut self, now: Timestamp) -> Vec<Element> {
        let (mut group, mut bytes) = (Vec::new(), 0_usize);
        self.waiting.retain(|element| element.outcome.is_shared());
        while let Some(element) = self.waiting.front() {
            bytes = bytes.saturating_add(element.text.len());
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

impl<H: Host> StoreClient<H> {
    /// Sends the operation in `text` with the next call. The outcome has the status and the body that an answer to a call of its own would
    /// have.
    pub(super) fn batched(&self, batcher: &Rc<RefCell<Batcher>>, text: Vec<u8>) -> SharedOnce<Outcome> {
        let outcome = SharedOnce::default();
        let element = Element { text, outcome: outcome.clone() };
        let longest = self.config.timeout.saturating_add(GRACE);
        if batcher.borrow_mut().join(element, self.host.now(), longest) {
            let (store, batcher) = (self.clone(), batcher.clone());
            self.host.in_background(Box::pin(async move { store.send_all(&batcher).await }));
        }
        outcome
    }

    /// Sends one call after the other, until no element waits.
    async fn send_all(&self, batcher: &RefCell<Batcher>) {
        let kind = batcher.borrow().kind;
        loop {
            let group = batcher.borrow_mut().next(self.host.now());
            if group.is_empty() {
                return;
            }
            let outcomes = self.send(kind, &group).await;
            for (index, element) in group.iter().enumerate() {
                let outcome = outcomes.as_ref().map_err(|error| *error);
                // `send` returns as many outcomes as elements.
                element.outcome.set(outcome.and_then(|all| all.get(index).cloned().ok_or(StoreError::Unavailable)));
            }
        }
    }

    /// Sends one call. Returns one outcome for each element of the group.
    async fn send(&self, kind: Kind, group: &[Element]) -> Result<Vec<Rc<Reply>>, StoreError> {
        let texts: Vec<&[u8]> = group.iter().map(|element| element.text.as_slice()).collect();
        let member = kind.member();
        let body = [b"{\"", member.as_bytes(), b"\":[", texts.join(&b',').as_slice(), b"]}"].concat();
        let reply = self.call("POST", kind.path().to_owned(), None, Some(("application/json", body))).await?;
        if reply.status != Some(200) {
            return Err(self.error(&reply, &[]));
        }
        let mut body = reply.body.map_err(|problem| self.failed(problem))?;
        match body.get_mut(member).map(Value::take) {
            Some(Value::Array(all)) if all.len() == group.len() => {
                Ok(all.into_iter().map(Reply::among_others).collect())
            }
            _ => Err(self.failed("did not tell of each that was asked for")),
        }
    }
}

impl Reply {
    /// The reply to one element of an answer. Each element has its status as a member.
    fn among_others(body: Value) -> Rc<Self> {
        let status = body.get("status").and_then(Value::as_u64).and_then(|status| status.try_into().ok());
        Rc::new(Self { status, body: Ok(body) })
    }
}
