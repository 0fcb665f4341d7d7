//! A store whose answers to registrations are set by the tests. The store receives the `jti` of a request, and each test uses its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use dcr_cli::mint::Token;
use dcr_store_protocol::{Clients, NewClient, Reply, Software, WrittenClient, path};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::until;

/// The answer to a call that contains the request. Without a script, all clients of the call are created as in the store's API.
#[derive(Clone)]
pub(super) enum Script {
    /// An answer with this status, content type and body.
    Answer(u16, &'static str, String),
    /// The correct answer, after a permit was added.
    Hold(Arc<Semaphore>),
}

#[derive(Clone, Default)]
pub(super) struct ScriptedStore(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    scripts: HashMap<String, Script>,
    asked: Vec<String>,
}

impl ScriptedStore {
    /// Serves on a free port until the process ends. Returns the port.
    pub(super) async fn start() -> (Self, u16) {
        let store = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().route(path::CLIENTS, post(create)).with_state(store.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (store, port)
    }

    /// Gives a registration request a `jti`, for which the store follows this script.
    pub(super) fn script(&self, request: Token, script: Script) -> (Token, String) {
        let jti = Uuid::new_v4().to_string();
        self.0.lock().unwrap().scripts.insert(jti.clone(), script);
        (request.claim("jti", jti.as_str()), jti)
    }

    /// Waits until the store has received the call for this request.
    pub(super) async fn was_asked(&self, jti: &str) {
        until("the store to be asked", async || {
            self.0.lock().unwrap().asked.iter().any(|asked| asked == jti).then_some(())
        })
        .await;
    }
}

/// The reply for a client of this software, in the form of the store's API.
pub(super) fn created(software: Software) -> Reply<WrittenClient> {
    Reply::made(WrittenClient {
        client_id: Uuid::new_v4().simple().to_string(),
        client_id_issued_at: 1_700_000_000,
        version: 1,
        software,
        registration_access_token: None,
    })
}

async fn create(State(store): State<ScriptedStore>, body: String) -> Response {
    let Clients { clients } = serde_json::from_str::<Clients<NewClient<Value>>>(&body).unwrap();
    let scripts: Vec<Script> = {
        let mut inner = store.0.lock().unwrap();
        let jti: Vec<String> = clients.iter().map(|new| new.consume_jti[0].jti.clone()).collect();
        let scripts = jti.iter().filter_map(|jti| inner.scripts.get(jti).cloned()).collect();
        inner.asked.extend(jti);
        scripts
    };
    let clients = clients.into_iter().map(|new| created(new.software)).collect();
    let (mut status, mut content_type, mut text) = (200, "application/json", json!(Clients { clients }).to_string());
    for script in scripts {
        match script {
            Script::Answer(other_status, other_type, other_text) => {
                (status, content_type, text) = (other_status, other_type, other_text);
            }
            Script::Hold(permits) => permits.acquire().await.unwrap().forget(),
        }
    }
    let response = Response::builder().status(status).header("content-type", content_type);
    response.body(Body::from(text)).unwrap()
}
