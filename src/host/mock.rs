//! A host in memory: a clock that stands still, key sets by URL, and just enough of a store. Every call takes one turn of the executor, so
//! that others can come in between.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use futures_executor::{LocalPool, LocalSpawner};
use futures_util::task::LocalSpawnExt;
use serde_json::{Value, json};

use super::{Background, Call, CallNotSent, CallResponse, Event, Host};
use crate::policy::Timestamp;

/// What answers a call instead of the mock's own services.
type Override = Rc<dyn Fn(&Call) -> Option<Result<CallResponse, CallNotSent>>>;

#[derive(Clone)]
pub(crate) struct MockHost {
    pub(crate) now: Rc<Cell<Timestamp>>,
    /// Key sets, by the `authority` and `path` they are fetched from.
    pub(crate) key_sets: Rc<RefCell<HashMap<String, Value>>>,
    pub(crate) calls: Rc<RefCell<Vec<Call>>>,
    pub(crate) events: Rc<RefCell<Vec<Event>>>,
    pub(crate) store: Rc<RefCell<MemoryStore>>,
    pub(crate) instead: Rc<RefCell<Option<Override>>>,
    /// Whether background work is dropped instead of run.
    pub(crate) loses_work: Rc<Cell<bool>>,
    spawner: LocalSpawner,
}

/// Clients and tokens as JSON; nothing else a store does.
#[derive(Default)]
pub(crate) struct MemoryStore {
    pub(crate) clients: HashMap<String, Value>,
    pub(crate) consumed: Vec<Value>,
    pub(crate) revoked: Vec<String>,
    pub(crate) introspection: Value,
}

impl std::fmt::Debug for MockHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MockHost")
    }
}

/// Runs `test` with a host whose clock shows `now`, until it and its background work are done.
pub(crate) fn run<T, F: Future<Output = T> + 'static>(now: Timestamp, test: impl FnOnce(MockHost) -> F) -> T
where
    T: 'static,
{
    let mut pool = LocalPool::new();
    let host = MockHost {
        now: Rc::new(Cell::new(now)),
        key_sets: Rc::default(),
        calls: Rc::default(),
        events: Rc::default(),
        store: Rc::default(),
        instead: Rc::default(),
        loses_work: Rc::default(),
        spawner: pool.spawner(),
    };
    let work = test(host);
    pool.run_until(work)
}

impl MockHost {
    pub(crate) fn calls_to(&self, cluster: &str) -> usize {
        self.calls.borrow().iter().filter(|call| call.cluster == cluster).count()
    }

    /// Answers calls by `answer` where it has one.
    pub(crate) fn instead(&self, answer: impl Fn(&Call) -> Option<Result<CallResponse, CallNotSent>> + 'static) {
        *self.instead.borrow_mut() = Some(Rc::new(answer));
    }

    fn answer(&self, call: &Call) -> Result<CallResponse, CallNotSent> {
        let instead = self.instead.borrow().clone();
        if let Some(answer) = instead.and_then(|instead| instead(call)) {
            return answer;
        }
        if call.cluster == "dcr_store" {
            return Ok(self.store.borrow_mut().answer(call));
        }
        Ok(match self.key_sets.borrow().get(&format!("{}{}", call.authority, call.path)) {
            Some(key_set) => answer(200, key_set.clone()),
            None => answer(404, json!({})),
        })
    }
}

/// A JSON response.
pub(crate) fn answer(status: u16, body: Value) -> CallResponse {
    let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
    CallResponse { status: Some(status), headers, body: body.to_string().into_bytes() }
}

impl Host for MockHost {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    async fn call(&self, call: Call) -> Result<CallResponse, CallNotSent> {
        self.calls.borrow_mut().push(call.clone());
        let mut turns = 1;
        std::future::poll_fn(|context| {
            if turns == 0 {
                return std::task::Poll::Ready(());
            }
            turns -= 1;
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
        self.answer(&call)
    }

    fn in_background(&self, work: Background) {
        if !self.loses_work.get() {
            self.spawner.spawn_local(work).unwrap();
        }
    }

    fn record(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }
}

impl MemoryStore {
    fn answer(&mut self, call: &Call) -> CallResponse {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        self.consumed.extend(body["consume_jti"].as_array().cloned().unwrap_or_default());
        let segments: Vec<&str> = call.path.trim_start_matches("/v1/").split('/').collect();
        match (call.method, segments.as_slice()) {
            ("POST", ["clients"]) => {
                let id = format!("client-{}", self.clients.len() + 1);
                let mut client = self.put(&id, 1, &body);
                if body["registration_access_token"] == true {
                    client["registration_access_token"] = json!("token of the registration");
                }
                answer(201, client)
            }
            ("POST", ["tokens", "introspect"]) => answer(200, self.introspection.clone()),
            ("POST", ["tokens", "revoke"]) => {
                self.revoked.push(String::from_utf8(call.body.clone()).unwrap());
                answer(200, json!({}))
            }
            (_, ["clients", id, ..]) if !self.clients.contains_key(*id) => {
                answer(404, json!({ "error": "unknown_client" }))
            }
            ("GET", ["clients", id]) => answer(200, self.clients[*id].clone()),
            ("PUT", ["clients", id]) => answer(200, self.put(id, 2, &body)),
            ("DELETE", ["clients", id]) => {
                self.clients.remove(*id);
                CallResponse { status: Some(204), headers: Vec::new(), body: Vec::new() }
            }
            ("POST", ["clients", _, "tokens"]) => answer(
                201,
                json!({ "access_token": "token", "token_type": "Bearer", "expires_in": body["expires_in"], "scope": body["scope"] }),
            ),
            _ => answer(404, json!({})),
        }
    }

    fn put(&mut self, id: &str, version: u64, body: &Value) -> Value {
        let client = json!({ "client_id": id, "client_id_issued_at": 1_700_000_000, "version": version, "record": body["record"] });
        self.clients.insert(id.to_owned(), client.clone());
        client
    }
}
