//! The paths of the API. In a template, `{client_id}` stands for one path segment.

use crate::bounds::is_client_id;

/// Create clients.
pub const CLIENTS: &str = "/v1/clients";

/// Template: read, replace or delete one client. [`client`] fills it in.
pub const CLIENT: &str = "/v1/clients/{client_id}";

/// Issue tokens.
pub const TOKENS: &str = "/v1/tokens";

/// What is known of a token (RFC 7662).
pub const INTROSPECT: &str = "/v1/tokens/introspect";

/// End a token (RFC 7009).
pub const REVOKE: &str = "/v1/tokens/revoke";

/// Whether the process lives.
pub const HEALTH: &str = "/healthz";

/// Whether the database can be written to.
pub const READY: &str = "/readyz";

/// Metrics in the OpenMetrics text format.
pub const METRICS: &str = "/metrics";

/// The path of one client. `None` when the store cannot have made this `client_id`: then the text must not become part of a URL.
#[must_use]
pub fn client(client_id: &str) -> Option<String> {
    is_client_id(client_id).then(|| [CLIENTS, "/", client_id].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_id_becomes_part_of_a_path() {
        assert_eq!(client("0123abcd-_").as_deref(), Some("/v1/clients/0123abcd-_"));
        assert_eq!(CLIENT.replace("{client_id}", "a"), client("a").unwrap());
        for other in ["", "a/b", "..", "a?b", "a%2fb", "a b", "é", &"a".repeat(65)] {
            assert_eq!(client(other), None, "{other:?}");
        }
    }
}
