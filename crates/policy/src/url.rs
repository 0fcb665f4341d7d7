//! Reads the URLs in documents and configurations (RFC 3986), and checks the demands of the rules on URLs.

use fluent_uri::Uri;
use fluent_uri::component::Host;

/// The longest URL of a key set that is read, in bytes.
const KEY_SET_URL_BYTES: usize = 2048;

/// An issuer identifier (RFC 8414 section 2): an https URL without query and fragment, such as `https://bank.example/oauth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    url: String,
    /// The length of scheme, host and port.
    origin_bytes: usize,
}

impl Issuer {
    /// Reads an issuer identifier. `None` if `text` is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (authority, rest) = https_parts(text)?;
        let origin_bytes = "https://".len() + authority.len();
        (rest.is_empty() || is_plain_path(rest)).then(|| Self { url: text.to_owned(), origin_bytes })
    }

    /// The identifier, unchanged.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        self.url.get(..self.origin_bytes).unwrap_or(&self.url)
    }

    /// The text behind the origin: empty, or a path without a slash at its end.
    pub fn path(&self) -> &str {
        self.url.get(self.origin_bytes..).unwrap_or_default()
    }
}

/// An https URL, split into the parts that a call to an Envoy cluster needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetUrl<'a> {
    /// The host, with the port if there is one.
    pub authority: &'a str,
    /// Path and query.
    pub path: &'a str,
}

impl<'a> KeySetUrl<'a> {
    /// Splits `https://authority/path`. `None` for another scheme, a user, a fragment, or a character that is not allowed in a URL.
    pub fn parse(url: &'a str) -> Option<Self> {
        let (authority, path) = https_parts(url)?;
        (path.starts_with('/') && !path.contains('#') && url.len() <= KEY_SET_URL_BYTES)
            .then_some(Self { authority, path })
    }
}

/// Whether `text` is an https origin: only scheme, host and port.
pub fn is_origin(text: &str) -> bool {
    https_parts(text).is_some_and(|(_, rest)| rest.is_empty())
}

/// Whether `text` is a host with an optional port. A user, an open bracket, or a character that could break a header or a URL is not
/// allowed.
pub fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let name = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let ipv6 = |host: &str| {
        host.strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok())
    };
    !host.is_empty() && (name(host) || ipv6(host)) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Whether every server reads `path` in the same way: it has single slashes, no slash at its end, only unreserved characters and no dot
/// segments.
pub fn is_plain_path(path: &str) -> bool {
    let mut segments = path.split('/');
    segments.next() == Some("")
        && path.len() > 1
        && segments.all(|segment| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        })
}

/// Whether `url` is an https URL with a host. Its scheme must be in lower case.
pub(super) fn is_https(url: &str) -> bool {
    Uri::parse(url).is_ok_and(|uri| uri.scheme().as_str() == "https" && uri.authority().is_some())
}

/// The host of a URL, in lower case.
pub(super) fn host(url: &str) -> Option<String> {
    Some(Uri::parse(url).ok()?.authority()?.host().to_ascii_lowercase())
}

/// Whether `url` is an absolute https URL with a public host, without user and fragment (MD-03). Hosts that mean the local machine are not
/// public.
pub(super) fn is_public_https(url: &str) -> bool {
    let Ok(uri) = Uri::parse(url) else { return false };
    let Some(authority) = uri.authority() else { return false };
    uri.scheme().as_str().eq_ignore_ascii_case("https")
        && !uri.has_fragment()
        && !authority.has_userinfo()
        && authority.port().is_none_or(|port| port.as_str().parse::<u16>().is_ok())
        && is_public_host(authority.host(), &authority.host_parsed())
}

/// The authority of an https URL and the rest behind it, both unchanged.
fn https_parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").filter(|_| Uri::parse(url).is_ok())?;
    let (authority, rest) = rest.split_at_checked(rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
    is_authority(authority).then_some((authority, rest))
}

fn is_public_host(written: &str, host: &Host<'_>) -> bool {
    match host {
        Host::Ipv4(address) => !address.is_loopback() && !address.is_unspecified(),
        Host::Ipv6(address) => !address.to_canonical().is_loopback() && !address.to_canonical().is_unspecified(),
        Host::RegName(_) => is_public_name(written),
        _ => false,
    }
}

fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    // If the last label is a number, a browser reads the host as an IPv4 address: 127.1 and 0x7f000001 mean the local machine.
    let ends_in_a_number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    let plain = name
        .split('.')
        .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    plain && !ends_in_a_number && last != "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn key_set_urls() {
        let parsed = KeySetUrl::parse("https://keystore.example:8443/a/b.jwks?x=1").unwrap();
        assert_eq!((parsed.authority, parsed.path), ("keystore.example:8443", "/a/b.jwks?x=1"));
        for url in [
            "http://k.example/x",
            "https://k.example",
            "https:///x",
            "https://u@k.example/x",
            "https://k.example/x#y",
            "https://k.example/x y",
            "https://k.example/\r\nx",
            "https://k.example:99999/x",
            "https://[::1/x",
            "//k.example/x",
        ] {
            assert!(KeySetUrl::parse(url).is_none(), "{url}");
        }
    }
}
