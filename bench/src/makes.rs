//! Makes thousands of requests, each with the expected status of its answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use crate::error::Error;
use crate::load::{Expecting, Request};
use crate::requests::{By, Requests};
use crate::scene::Scene;

/// Makes one new, signed request.
pub(crate) type Make = Box<dyn Fn() -> Result<Expecting, Error> + Send + Sync>;

/// Makers for every kind of request, for one third party.
pub(crate) struct Makes(Arc<Requests>);

impl Makes {
    /// The makers for the scene's third party.
    pub(crate) fn of(scene: &Scene) -> Self {
        Self(scene.requests.clone())
    }

    /// The makers for the third party of these requests.
    pub(crate) fn new(requests: Arc<Requests>) -> Self {
        Self(requests)
    }

    /// See [`Requests::assertion_in_header`]. `jwt_authn` checks the audience, not the client.
    pub(crate) fn assertion_in_header(&self, by: By) -> Make {
        self.make(200, "00000000000000000000000000000000", move |requests, client| {
            requests.assertion_in_header(client, by)
        })
    }

    /// The same for a server that does not read the assertions. So only a few are signed, and they are sent again and again.
    pub(crate) fn unread_assertion_in_header(&self) -> Result<Make, Error> {
        again_and_again(&self.assertion_in_header(By::Ps256))
    }

    /// See [`Requests::other_path`]. These assertions are not read either.
    pub(crate) fn other_path(&self) -> Result<Make, Error> {
        again_and_again(&self.make(200, "00000000000000000000000000000000", Requests::other_path))
    }

    /// See [`Requests::token`].
    pub(crate) fn token(&self, client_id: &str, by: By) -> Make {
        self.make(200, client_id, move |requests, client| requests.token(client, by))
    }

    /// See [`Requests::token_by_certificate`].
    pub(crate) fn token_by_certificate(&self, client_id: &str) -> Make {
        self.make(200, client_id, Requests::token_by_certificate)
    }

    /// See [`Requests::registration`].
    pub(crate) fn registration(&self) -> Make {
        self.make(201, "", |requests, _| requests.registration(|request| request))
    }

    /// See [`Requests::retrieval`].
    pub(crate) fn retrieval(&self, client_id: &str, access_token: &str) -> Make {
        let access_token = access_token.to_owned();
        self.make(200, client_id, move |requests, client| requests.retrieval(client, &access_token))
    }

    /// See [`Requests::expired_token`].
    pub(crate) fn expired_token(&self, client_id: &str) -> Make {
        self.make(401, client_id, Requests::expired_token)
    }

    /// See [`Requests::wrong_method`].
    pub(crate) fn wrong_method(&self) -> Make {
        self.make(405, "", |requests, _| requests.wrong_method())
    }

    /// See [`Requests::oidc_token`]. The requests are for the current client.
    pub(crate) fn oidc_token(&self, client_id: &Arc<RwLock<String>>) -> Make {
        let client_id = client_id.clone();
        self.make(200, "", move |requests, _| {
            requests.oidc_token(&client_id.read().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// See [`Requests::oidc_registration`].
    pub(crate) fn oidc_registration(&self) -> Make {
        self.make(201, "", |requests, _| requests.oidc_registration())
    }

    fn make(
        &self,
        status: u16,
        client_id: &str,
        make: impl Fn(&Requests, &str) -> Result<Request, Error> + Send + Sync + 'static,
    ) -> Make {
        let (requests, client_id) = (self.0.clone(), client_id.to_owned());
        Box::new(move || Ok((make(&requests, &client_id)?, status)))
    }
}

/// How many requests are signed if their content is not read.
const A_FEW: usize = 256;

fn again_and_again(make: &Make) -> Result<Make, Error> {
    let (requests, next) = (prepare(A_FEW, make)?, AtomicUsize::new(0));
    Ok(Box::new(move || {
        let next = next.fetch_add(1, Ordering::Relaxed) % A_FEW;
        Ok(requests.get(next).ok_or("there is no request")?.clone())
    }))
}

/// Makes this many requests, on all processors.
pub(crate) fn prepare(number: usize, make: &Make) -> Result<Vec<Expecting>, Error> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = number.div_ceil(threads);
    thread::scope(|scope| {
        let shares: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| (0..share).map(|_| make()).collect::<Result<Vec<_>, _>>())).collect();
        let mut requests = Vec::with_capacity(number);
        for share in shares {
            requests.extend(share.join().map_err(|_| "making requests failed")??);
        }
        requests.truncate(number);
        Ok(requests)
    })
}
