//! A host in memory: a clock that stands still, key sets by URL, and just enough of a store. Every call takes one turn of the executor, so
//! that others can come in between.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use dcr_policy::Timestamp;
use futures_executor::{LocalPool, LocalSpawner};
use futures_util::task::LocalSpawnExt;
use serde_json::{Value, json};

use super::{Background, Call, CallNotSent, CallResponse, Event, Host, Shared};

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
    /// What the VMs of the process share. Clones of a host are VMs of one process.
    pub(crate) shared: Rc<RefCell<HashMap<String, Shared>>>,
    /// What `random` answers next; it counts up.
    pub(crate) random: Rc<Cell<u64>>,
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
        shared: Rc::default(),
        random: Rc::default(),
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

/// Lets all others run once.
async fn one_turn() {
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
        one_turn().await;
        self.answer(&call)
    }

    fn in_background(&self, work: Background) {
        if !self.loses_work.get() {
            self.spawner.spawn_local(work).unwrap();
        }
    }

    async fn sleep(&self, _time: Duration) {
        one_turn().await;
    }

    fn random(&self) -> u64 {
        self.random.replace(self.random.get() + 1)
    }

    fn shared(&self, key: &str) -> Option<Shared> {
        self.shared.borrow().get(key).cloned()
    }

    fn share(&self, key: &str, value: &[u8], replaces: Option<u32>) -> bool {
        let mut shared = self.shared.borrow_mut();
        let version = shared.get(key).map_or(0, |shared| shared.version);
        if version != 0 && replaces.is_some_and(|replaces| replaces != version) {
            return false;
        }
        shared.insert(key.to_owned(), Shared { value: value.to_vec(), version: version + 1 });
        true
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
                let told: Vec<Value> =
                    body["clients"].as_array().unwrap().iter().map(|order| self.create(order)).collect();
                answer(200, json!({ "clients": told }))
            }
            ("POST", ["tokens"]) => {
                let told: Vec<Value> =
                    body["tokens"].as_array().unwrap().iter().map(|order| self.issue(order)).collect();
                answer(200, json!({ "tokens": told }))
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
            ("PUT", ["clients", id]) => {
                let version = self.clients[*id]["version"].as_u64().unwrap() + 1;
                answer(200, self.put(id, version, &body))
            }
            ("DELETE", ["clients", id]) => {
                self.clients.remove(*id);
                CallResponse { status: Some(204), headers: Vec::new(), body: Vec::new() }
            }
            _ => answer(404, json!({})),
        }
    }

    fn create(&mut self, order: &Value) -> Value {
        let jti = order["consume_jti"].as_array().cloned().unwrap_or_default();
        if let Some(replayed) = jti.iter().position(|jti| self.consumed.contains(jti)) {
            return json!({ "status": 409, "error": "replayed", "replayed": replayed });
        }
        self.consumed.extend(jti);
        let id = format!("client-{}", self.clients.len() + 1);
        let mut client = self.put(&id, 1, order);
        client["status"] = json!(201);
        if order["registration_access_token"] == true {
            client["registration_access_token"] = json!("token of the registration");
        }
        client
    }

    fn issue(&mut self, order: &Value) -> Value {
        let jti = order["consume_jti"].as_array().cloned().unwrap_or_default();
        let client_id = &order["client_id"];
        let Some(client) = self.clients.get(client_id.as_str().unwrap()) else {
            return json!({ "status": 404, "error": "unknown_client" });
        };
        if client["version"] != order["version"] {
            return json!({ "status": 412, "error": "version_mismatch" });
        }
        if jti.iter().any(|jti| self.consumed.contains(jti)) {
            return json!({ "status": 409, "error": "replayed" });
        }
        self.consumed.extend(jti);
        let token = format!("token {} of {}", self.consumed.len(), client_id.as_str().unwrap());
        let (expires_in, scope) = (&order["expires_in"], &order["scope"]);
        json!({ "status": 201, "client_id": client_id, "access_token": token, "token_type": "Bearer", "expires_in": expires_in, "scope": scope })
    }

    fn put(&mut self, id: &str, version: u64, body: &Value) -> Value {
        let client = json!({ "client_id": id, "client_id_issued_at": 1_700_000_000, "version": version, "software": body["software"], "record": body["record"] });
        self.clients.insert(id.to_owned(), client.clone());
        client
    }
}
