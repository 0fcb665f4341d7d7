//! The gateway's own policy, run here: what would it say of this request, over this certificate, at this time?
//!
//! The journeys are the filter's, over a host that needs no network: key sets come from files, and a store that accepts everything.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dcr_gate::config::Config;
use dcr_gate::host::{Background, Call, CallNotSent, CallResponse, Event, Host, Shared};
use dcr_gate::journey::{Body, Endpoint, Gate, Head, Request};
use dcr_gate::policy::{Refusal, Timestamp};
use dcr_gate::x509::Certificate;
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::Error;
use crate::client::media_type;

/// What is judged, and by what.
#[derive(Debug)]
pub struct Case {
    /// The gateway's configuration.
    pub config: Config,
    /// The transport certificate, if one is presented.
    pub certificate: Option<Certificate>,
    /// The time, in Unix seconds.
    pub at: Timestamp,
    /// Key sets by their URLs; the one without URL serves for all others.
    pub key_sets: Vec<(Option<String>, Value)>,
}

/// What the gateway would say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The registration would be made.
    Accepted,
    /// It would be refused.
    Refused(Refusal),
}

impl Case {
    /// Judges a registration request: a compact JWS, or the JSON object of ecosystems that do not sign requests.
    ///
    /// # Errors
    /// [`Error::Key`] where the policy waits for something that is not there: a fault of this program.
    pub fn judge_registration(self, request: &str) -> Result<Verdict, Error> {
        let host =
            Offline(Rc::new(Surroundings { now: self.at, key_sets: self.key_sets, refusal: RefCell::default() }));
        let (sender, body) = Body::channel();
        sender.complete(request.as_bytes().to_vec());
        let head = Head {
            method: "POST".into(),
            query: None,
            headers: vec![("content-type".into(), media_type(request).as_bytes().to_vec())],
            certificate: self.certificate,
        };
        let gate = Gate::new(self.config, host.clone());
        let answer = gate.serve(&Endpoint::Register, &Request { head, body }).now_or_never();
        answer.ok_or_else(|| Error::Key("the judgement did not come to an end".into()))?;
        let refusal = host.0.refusal.borrow_mut().take();
        Ok(refusal.map_or(Verdict::Accepted, Verdict::Refused))
    }
}

#[derive(Debug, Clone)]
struct Offline(Rc<Surroundings>);

#[derive(Debug)]
struct Surroundings {
    now: Timestamp,
    key_sets: Vec<(Option<String>, Value)>,
    refusal: RefCell<Option<Refusal>>,
}

impl Surroundings {
    fn key_set(&self, url: &str) -> Option<&Value> {
        let of_url = self.key_sets.iter().find(|(known, _)| known.as_deref() == Some(url));
        let for_all = self.key_sets.iter().find(|(known, _)| known.is_none());
        of_url.or(for_all).map(|(_, key_set)| key_set)
    }
}

impl Host for Offline {
    fn now(&self) -> Timestamp {
        self.0.now
    }

    async fn call(&self, call: Call) -> Result<CallResponse, CallNotSent> {
        let answer = match call.method {
            "GET" => {
                (200, self.0.key_set(&format!("https://{}{}", call.authority, call.path)).ok_or(CallNotSent)?.clone())
            }
            _ => (201, created(&call.body)),
        };
        let headers = vec![("content-type".to_string(), b"application/json".to_vec())];
        Ok(CallResponse { status: Some(answer.0), headers, body: answer.1.to_string().into_bytes() })
    }

    fn in_background(&self, work: Background) {
        // No call here takes time, so the work ends at once.
        work.now_or_never();
    }

    async fn sleep(&self, _time: Duration) {}

    fn random(&self) -> u64 {
        0
    }

    fn shared(&self, _key: &str) -> Option<Shared> {
        None
    }

    fn share(&self, _key: &str, _value: &[u8], _replaces: Option<u32>) -> bool {
        false
    }

    fn record(&self, event: Event) {
        if let Event::Denied { refusal, .. } = event {
            *self.0.refusal.borrow_mut() = Some(refusal);
        }
    }
}

/// What the store answers to a registration.
fn created(body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut answer =
        json!({ "client_id": "judged", "client_id_issued_at": 0, "version": 1, "record": body.get("record") });
    if let (Some(Value::Bool(true)), Some(members)) = (body.get("registration_access_token"), answer.as_object_mut()) {
        members.insert("registration_access_token".into(), "judged".into());
    }
    answer
}
