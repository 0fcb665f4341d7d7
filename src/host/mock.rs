//! A host in memory. Its clock stands still, it serves key sets by URL, and it has a minimal store. Every call waits for one turn of the
//! executor, so that other tasks can run in between.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use dcr_policy::Timestamp;
use dcr_store_protocol::{
    Client, Clients, ErrorBody, ErrorCode, IssuedToken, Jti, NewClient, NewToken, Replacement, Reply, Software,
    TokenType, Tokens, WrittenClient, path,
};
use futures_executor::{LocalPool, LocalSpawner};
use futures_util::task::LocalSpawnExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Background, Call, CallNotSent, CallResponse, Event, Host, Shared};

/// Answers a call in place of the mock's own services.
type Override = Rc<dyn Fn(&Call) -> Option<Result<CallResponse, CallNotSent>>>;

#[derive(Clone)]
pub(crate) struct MockHost {
    pub(crate) now: Rc<Cell<Timestamp>>,
    /// Key sets, by the `authority` and `path` of their URL.
    pub(crate) key_sets: Rc<RefCell<HashMap<String, Value>>>,
    pub(crate) calls: Rc<RefCell<Vec<Call>>>,
    pub(crate) events: Rc<RefCell<Vec<Event>>>,
    pub(crate) store: Rc<RefCell<MemoryStore>>,
    pub(crate) instead: Rc<RefCell<Option<Override>>>,
    /// The values that the VMs of the process share. The clones of a host are VMs of one process.
    pub(crate) shared: Rc<RefCell<HashMap<String, Shared>>>,
    /// The next result of `random`, which counts up.
    pub(crate) random: Rc<Cell<u64>>,
    /// Whether background work is dropped instead of run.
    pub(crate) loses_work: Rc<Cell<bool>>,
    /// The authority of a host that never answers.
    pub(crate) stalled: Rc<Cell<Option<&'static str>>>,
    spawner: LocalSpawner,
}

/// A store that only keeps clients and tokens, as JSON.
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

/// Runs `test` with a host whose clock shows `now`, until the test has ended.
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
        stalled: Rc::default(),
        spawner: pool.spawner(),
    };
    let work = test(host);
    pool.run_until(work)
}

impl MockHost {
    pub(crate) fn calls_to(&self, cluster: &str) -> usize {
        self.calls.borrow().iter().filter(|call| call.cluster == cluster).count()
    }

    /// Answers calls with `answer` if it returns a result.
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

/// Lets every other task run once.
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
        if self.stalled.get() == Some(call.authority.as_str()) {
            std::future::pending::<()>().await;
        }
        self.answer(&call)
    }

    fn in_background(&self, work: Background) {
        if !self.loses_work.get() {
            self.spawner.spawn_local(work).unwrap();
        }
    }

    /// Takes one turn for every 20 milliseconds, the filter's tick.
    async fn sleep(&self, time: Duration) {
        for _ in 0..(time.as_millis() / 20).max(1) {
            one_turn().await;
        }
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
        match (call.method, call.path.as_str()) {
            ("POST", path::CLIENTS) => {
                let Clients { clients } = body(call);
                let clients = clients.into_iter().map(|new| self.create(new)).collect();
                answer(200, json!(Clients { clients }))
            }
            ("POST", path::TOKENS) => {
                let Tokens { tokens } = body(call);
                let tokens = tokens.into_iter().map(|new| self.issue(new)).collect();
                answer(200, json!(Tokens { tokens }))
            }
            ("POST", path::INTROSPECT) => answer(200, self.introspection.clone()),
            ("POST", path::REVOKE) => {
                self.revoked.push(String::from_utf8(call.body.clone()).unwrap());
                answer(200, json!({}))
            }
            (method, path) => match path.strip_prefix(path::CLIENTS).and_then(|rest| rest.strip_prefix('/')) {
                Some(id) if self.clients.contains_key(id) => self.answer_of_client(method, id, call),
                Some(_) => answer(404, json!(error(ErrorCode::UnknownClient))),
                None => answer(404, json!(error(ErrorCode::NotFound))),
            },
        }
    }

    fn answer_of_client(&mut self, method: &str, id: &str, call: &Call) -> CallResponse {
        match method {
            "GET" => answer(200, self.clients[id].clone()),
            "PUT" => {
                let Replacement { software, consume_jti, record } = body::<Replacement<Value>>(call);
                self.consumed.extend(consume_jti.iter().map(|jti| json!(jti)));
                let version = self.clients[id]["version"].as_i64().unwrap() + 1;
                answer(200, json!(self.put(id, version, software, record)))
            }
            "DELETE" => {
                self.clients.remove(id);
                CallResponse { status: Some(204), headers: Vec::new(), body: Vec::new() }
            }
            _ => answer(405, json!(error(ErrorCode::MethodNotAllowed))),
        }
    }

    fn create(&mut self, new: NewClient<Value>) -> Reply<WrittenClient> {
        if let Err(replayed) = self.consume(&new.consume_jti) {
            return replayed;
        }
        let id = format!("client-{}", self.clients.len() + 1);
        let mut written = WrittenClient::from(self.put(&id, 1, new.software, new.record));
        written.registration_access_token =
            new.registration_access_token.then(|| "token-of-the-registration".to_owned());
        Reply::made(written)
    }

    fn issue(&mut self, new: NewToken) -> Reply<IssuedToken> {
        let Some(client) = self.clients.get(&new.client_id) else { return refused(ErrorCode::UnknownClient) };
        if client["version"] != json!(new.version) {
            return refused(ErrorCode::VersionMismatch);
        }
        if let Err(replayed) = self.consume(&new.consume_jti) {
            return replayed;
        }
        Reply::made(IssuedToken {
            access_token: format!("token-{}-of-{}", self.consumed.len(), new.client_id),
            client_id: new.client_id,
            token_type: TokenType::Bearer,
            expires_in: new.expires_in,
            scope: new.scope,
            cnf: new.cnf,
        })
    }

    /// Consumes all ids; or none, if one was used before.
    fn consume<T>(&mut self, every: &[Jti]) -> Result<(), Reply<T>> {
        let every: Vec<Value> = every.iter().map(|jti| json!(jti)).collect();
        if let Some(index) = every.iter().position(|jti| self.consumed.contains(jti)) {
            let error = ErrorBody { replayed: Some(index), ..error(ErrorCode::Replayed) };
            return Err(Reply::refused(ErrorCode::Replayed.status(), error));
        }
        self.consumed.extend(every);
        Ok(())
    }

    fn put(&mut self, id: &str, version: i64, software: Software, record: Value) -> Client<Value> {
        let client = Client { client_id: id.to_owned(), client_id_issued_at: 1_700_000_000, version, software, record };
        self.clients.insert(id.to_owned(), json!(client));
        client
    }
}

fn body<T: DeserializeOwned>(call: &Call) -> T {
    serde_json::from_slice(&call.body).unwrap()
}

fn refused<T>(code: ErrorCode) -> Reply<T> {
    Reply::refused(code.status(), error(code))
}

fn error(code: ErrorCode) -> ErrorBody {
    ErrorBody { error: code, error_description: "refused by the mock".to_owned(), replayed: None }
}
