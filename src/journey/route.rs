//! Finds the endpoint of a request by its path. Paths are compared octet by octet, unchanged. Some servers normalise paths. If the upstream
//! could read a path as one of the gate's endpoints after that, the gate refuses the request.

use dcr_policy::Refusal;
use dcr_policy::catalogue::{GW_02, RG_14};
use percent_encoding::percent_decode;

use crate::config::Config;

/// The longest ClientId in a path, in bytes.
const CLIENT_ID_BYTES: usize = 128;

/// The gate's treatment of a request, by its path and method.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// The request is for another server: it goes to the upstream unchanged.
    Pass,
    /// The request is for this endpoint of the gate.
    Serve(Endpoint),
    /// The request is for an endpoint of the gate, and its path or method is wrong.
    Refuse {
        /// The endpoint's name.
        endpoint: &'static str,
        /// The refusal.
        refusal: Refusal,
        /// The methods of the resource, if the method is wrong.
        allow: Option<&'static str>,
    },
}

/// The endpoints of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// POST to the registration endpoint.
    Register,
    /// GET of a registration, by its ClientId.
    Retrieve(String),
    /// PUT of a registration, by its ClientId.
    Update(String),
    /// DELETE of a registration, by its ClientId.
    Delete(String),
    /// POST to the token endpoint.
    Token,
    /// GET of the subject of the caller's certificate.
    DistinguishedName,
    /// GET of the metadata.
    Discovery,
}

impl Endpoint {
    /// Names of all endpoints, for metrics.
    pub const NAMES: [&'static str; 8] =
        ["register", "retrieve", "update", "delete", "token", "distinguished_name", "discovery", "registration"];

    /// The endpoint's name in metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Retrieve(_) => "retrieve",
            Self::Update(_) => "update",
            Self::Delete(_) => "delete",
            Self::Token => "token",
            Self::DistinguishedName => "distinguished_name",
            Self::Discovery => "discovery",
        }
    }
}

/// The resources of the gate. An endpoint is a method of a resource.
enum Resource<'a> {
    Registrations,
    Registration(&'a str),
    Token,
    DistinguishedName,
    Metadata,
}

/// The paths of the gate's endpoints, in a form that is quick to compare with the path of every request.
#[derive(Debug)]
pub struct Routes {
    registration: String,
    token: String,
    distinguished_name: Option<String>,
    /// The paths of the metadata (OpenID Connect Discovery section 4, RFC 8414 section 3.1).
    metadata: [String; 2],
    loosest: [Loosest; 2],
}

/// The paths of the gate's endpoints as a server may read them that normalises paths. There are two ways to treat dot segments.
#[derive(Debug)]
struct Loosest {
    dots: Dots,
    registration: String,
    others: Vec<String>,
}

impl Routes {
    /// The endpoints of a configuration.
    pub fn new(config: &Config) -> Self {
        let (paths, issuer) = (&config.settings.profile.paths, config.issuer.path());
        let metadata = [
            format!("{issuer}/.well-known/openid-configuration"),
            format!("/.well-known/oauth-authorization-server{issuer}"),
        ];
        let loosest = [Dots::Resolved, Dots::Kept].map(|dots| {
            let others = paths.distinguished_name.iter().chain(&metadata).chain([&paths.token]);
            Loosest {
                dots,
                registration: loosest_reading(&paths.registration, dots),
                others: others.map(|path| loosest_reading(path, dots)).collect(),
            }
        });
        Self {
            registration: paths.registration.clone(),
            token: paths.token.clone(),
            distinguished_name: paths.distinguished_name.clone(),
            metadata,
            loosest,
        }
    }

    /// The route of a request, by its path (without the query) and its method. `method` is called only if the path is one of the gate's.
    pub fn find<M: AsRef<str>>(&self, path: &str, method: impl FnOnce() -> M) -> Route {
        let Some(resource) = self.resource(path) else {
            return if self.gw_02_has_lookalike(path) {
                Route::Refuse { endpoint: "registration", refusal: Refusal::by(&GW_02).claim("path"), allow: None }
            } else {
                Route::Pass
            };
        };
        match (resource, method().as_ref()) {
            (Resource::Registrations, "POST") => Route::Serve(Endpoint::Register),
            (Resource::Registration(id), "GET" | "HEAD") => Route::Serve(Endpoint::Retrieve(id.to_owned())),
            (Resource::Registration(id), "PUT") => Route::Serve(Endpoint::Update(id.to_owned())),
            (Resource::Registration(id), "DELETE") => Route::Serve(Endpoint::Delete(id.to_owned())),
            (Resource::Token, "POST") => Route::Serve(Endpoint::Token),
            (Resource::DistinguishedName, "GET" | "HEAD") => Route::Serve(Endpoint::DistinguishedName),
            (Resource::Metadata, "GET" | "HEAD") => Route::Serve(Endpoint::Discovery),
            (Resource::Registrations, _) => rg_14_method("register", "POST"),
            (Resource::Registration(_), _) => rg_14_method("registration", "GET, HEAD, PUT, DELETE"),
            (Resource::Token, _) => rg_14_method("token", "POST"),
            (Resource::DistinguishedName, _) => rg_14_method("distinguished_name", "GET, HEAD"),
            (Resource::Metadata, _) => rg_14_method("discovery", "GET, HEAD"),
        }
    }

    fn resource<'a>(&self, path: &'a str) -> Option<Resource<'a>> {
        if path == self.registration {
            return Some(Resource::Registrations);
        }
        if path == self.token {
            return Some(Resource::Token);
        }
        if self.distinguished_name.as_deref() == Some(path) {
            return Some(Resource::DistinguishedName);
        }
        if self.metadata.iter().any(|known| known == path) {
            return Some(Resource::Metadata);
        }
        let client_id = path.strip_prefix(&self.registration)?.strip_prefix('/')?;
        is_client_id(client_id).then_some(Resource::Registration(client_id))
    }

    /// Whether some server could read `path` as an endpoint of the gate. Such a server may decode percent signs several times, drop path
    /// parameters, join slashes, resolve dot segments or keep them, and ignore letter case (GW-02).
    fn gw_02_has_lookalike(&self, path: &str) -> bool {
        match the_one_reading(path) {
            Some(path) => self.loosest.iter().any(|ours| ours.has(path)),
            None => self.loosest.iter().any(|ours| ours.has(&loosest_reading(path, ours.dots))),
        }
    }
}

impl Loosest {
    /// Whether the normalised `path` is an endpoint of the gate. Letter case is ignored.
    fn has(&self, path: &str) -> bool {
        let at_registration = path.split_at_checked(self.registration.len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(&self.registration) && (rest.is_empty() || rest.starts_with('/'))
        });
        at_registration || self.others.iter().any(|other| other.eq_ignore_ascii_case(path))
    }
}

fn rg_14_method(endpoint: &'static str, allow: &'static str) -> Route {
    Route::Refuse { endpoint, refusal: Refusal::by(&RG_14), allow: Some(allow) }
}

fn is_client_id(segment: &str) -> bool {
    (1..=CLIENT_ID_BYTES).contains(&segment.len())
        && segment != "."
        && segment != ".."
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// The treatment of `.` and `..` segments by a server.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Dots {
    Resolved,
    Kept,
}

/// The path without a slash at its end, if all servers read it in the same way except for letter case. Most paths are like this: they have
/// only letters, digits and single slashes. `None` for all other paths.
fn the_one_reading(path: &str) -> Option<&str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_~".contains(&b);
    let mut before = 0;
    let has_one = path.starts_with('/')
        && path.bytes().all(|octet| {
            let after_slash = std::mem::replace(&mut before, octet) == b'/';
            is_plain(octet) || !after_slash && b"/.".contains(&octet)
        });
    let without_last_slash = path.strip_suffix('/').filter(|path| !path.is_empty());
    has_one.then(|| without_last_slash.unwrap_or(path))
}

/// The path as a server reads it that normalises as much as possible. Letters become lower case.
fn loosest_reading(path: &str, dots: Dots) -> String {
    let mut text = path.as_bytes().to_vec();
    // Deeper encodings stay as they are, because no server is expected to decode them.
    for _ in 0..4 {
        if !text.contains(&b'%') {
            break;
        }
        text = percent_decode(&text).collect();
    }
    let plain = |octet: &u8| if octet.is_ascii() { char::from(*octet).to_ascii_lowercase() } else { '\u{fffd}' };
    let text: String = text.iter().map(plain).collect();
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']) {
        match (segment.split([';', '?', '#', '\0']).next().unwrap_or_default().trim(), dots) {
            ("", _) | (".", Dots::Resolved) => {}
            ("..", Dots::Resolved) => {
                segments.pop();
            }
            (segment, _) => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests;
