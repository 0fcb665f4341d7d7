//! The bounds of what the store takes. Lengths of text are in bytes of UTF-8.

/// The largest request body.
pub const MAX_BODY: usize = 256 * 1024;

/// The most clients or tokens of one request.
pub const MAX_BATCH: usize = 64;

/// The longest `client_id`.
pub const MAX_CLIENT_ID: usize = 64;

/// The longest `issuer` and `id` of a software.
pub const MAX_SOFTWARE: usize = 512;

/// The longest `jti`, and the longest `issuer` beside it.
pub const MAX_JTI: usize = 1024;

/// The most `jti` that one client, update or token consumes.
pub const MAX_JTI_COUNT: usize = 8;

/// The longest scope.
pub const MAX_SCOPE: usize = 4096;

/// The longest token that is introspected or revoked.
pub const MAX_TOKEN: usize = 4096;

/// The length of a certificate thumbprint: a SHA-256 digest as base64url without padding.
pub const THUMBPRINT_LENGTH: usize = 43;

/// The longest request id.
pub const MAX_REQUEST_ID: usize = 64;

/// The length of a `traceparent`.
pub const TRACEPARENT_LENGTH: usize = 55;

/// The longest time in seconds for which a `jti` may be kept and an access token may live: 366 days.
///
/// A gateway sends the `exp` of a request or an assertion, and the longest that any profile allows is far below this. Without a
/// bound, a request with `exp` in the year 9999 would leave a row that is never purged, and many of them would fill the disk.
pub const MAX_LIFETIME: i64 = 366 * 24 * 60 * 60;

/// [`is_client_id`] as a regular expression, but for the length.
pub const CLIENT_ID_PATTERN: &str = "^[A-Za-z0-9_-]+$";

/// [`is_name`] as a regular expression, but for the length.
pub const NAME_PATTERN: &str = r"^[^\u0000-\u001f\u007f-\u009f]+$";

/// [`is_scope`] as a regular expression, but for the length.
pub const SCOPE_PATTERN: &str = r"^[!#-\[\]-~]+( [!#-\[\]-~]+)*$";

/// [`is_thumbprint`] as a regular expression, but for the length.
pub const THUMBPRINT_PATTERN: &str = CLIENT_ID_PATTERN;

/// [`is_request_id`] as a regular expression, but for the length.
pub const REQUEST_ID_PATTERN: &str = "^[A-Za-z0-9-]+$";

/// [`is_traceparent`] as a regular expression, but for ids that are zero.
pub const TRACEPARENT_PATTERN: &str = "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$";

/// Whether the store can have made this `client_id`: 1 to [`MAX_CLIENT_ID`] characters of base64url.
#[must_use]
pub fn is_client_id(text: &str) -> bool {
    (1..=MAX_CLIENT_ID).contains(&text.len()) && text.bytes().all(is_base64url)
}

/// Whether this can be logged as the id of a request, because it cannot forge a log line: 1 to [`MAX_REQUEST_ID`] letters, digits and
/// dashes.
#[must_use]
pub fn is_request_id(text: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether this is the value of a `traceparent` header (W3C Trace Context) of version 00: the version, a trace id, the id of the calling
/// span and flags, in lower-case hexadecimal digits. No id is zero. Values of later versions are refused: they may have more parts.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_id = |part: &str, length| is_hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let (version, trace, span, flags, more) = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    version == Some("00")
        && trace.is_some_and(|trace| is_id(trace, 32))
        && span.is_some_and(|span| is_id(span, 16))
        && flags.is_some_and(|flags| is_hex(flags, 2))
        && more.is_none()
}

/// Whether this can be an issuer, a software id or a `jti`: 1 to `max` bytes without control characters.
#[must_use]
pub fn is_name(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether this is a scope of at most [`MAX_SCOPE`] bytes. RFC 6749 section 3.3: tokens of `%x21 / %x23-5B / %x5D-7E`, with one space
/// between them.
#[must_use]
pub fn is_scope(text: &str) -> bool {
    let is_token = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    text.len() <= MAX_SCOPE && text.split(' ').all(is_token)
}

/// Whether this has the form of a certificate thumbprint (RFC 8705 section 3.1): [`THUMBPRINT_LENGTH`] characters of base64url.
///
/// The last character may carry stray bits, as the example in RFC 8705 section 3.1 does.
#[must_use]
pub fn is_thumbprint(text: &str) -> bool {
    text.len() == THUMBPRINT_LENGTH && text.bytes().all(is_base64url)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_base64url() {
        for good in ["a", "0123456789abcdef0123456789abcdef", "A-_z", &"a".repeat(MAX_CLIENT_ID)] {
            assert!(is_client_id(good), "{good:?}");
        }
        for bad in ["", "a b", "a/b", "a.b", "é", "a\0", &"a".repeat(MAX_CLIENT_ID + 1)] {
            assert!(!is_client_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_request_id_cannot_forge_a_log_line() {
        for good in ["0b6c7a0e-8a53-4f8e-b3a1-1d1f5ae0a5a9", "request-42", &"a".repeat(64)] {
            assert!(is_request_id(good), "{good:?}");
        }
        for bad in ["", "a b", "a\tb", "a\n", "a_b", "a.b", "{\"status\":201}", "é", &"a".repeat(65)] {
            assert!(!is_request_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_traceparent_is_of_version_00_and_has_ids() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(good.len(), TRACEPARENT_LENGTH);
        for good in [good, &good.replace("-01", "-00"), &good.replace("-01", "-ff")] {
            assert!(is_traceparent(good), "{good:?}");
        }
        for bad in [
            "",
            "00",
            &good.to_ascii_uppercase(),
            &format!("{good} "),
            &format!(" {good}"),
            &format!("{good}-00"),
            &format!("{good},{good}"),
            &good.replacen("00-", "01-", 1),
            &good.replacen("00-", "ff-", 1),
            &good.replacen("00-", "", 1),
            &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &good.replace("4bf9", "4bg9"),
            &good.replace("4bf9", "4b-9"),
            &good.replace("-01", "-1"),
            &good.replace("-01", "-0\n"),
            &good.replace("-01", "-é"),
        ] {
            assert!(!is_traceparent(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_name_has_no_control_characters_and_is_counted_in_bytes() {
        for good in ["a", "OpenBanking Ltd", "'; DROP TABLE clients; --", &"é".repeat(256)] {
            assert!(is_name(good, 512), "{good:?}");
        }
        for bad in ["", "nul\0", "line\nbreak", "\u{7f}", "\u{85}", &"é".repeat(257)] {
            assert!(!is_name(bad, 512), "{bad:?}");
        }
    }

    #[test]
    fn a_scope_is_words_with_one_space_between() {
        for good in ["accounts", "accounts openid", "!#[]~", &"a".repeat(MAX_SCOPE)] {
            assert!(is_scope(good), "{good:?}");
        }
        let too_long = "a".repeat(MAX_SCOPE + 1);
        for bad in ["", " ", " a", "a ", "a  b", "a\tb", "a\"b", "a\\b", "é", "a\u{7f}", "a\0", &too_long] {
            assert!(!is_scope(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_thumbprint_is_43_characters_of_base64url() {
        let good = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";
        assert!(is_thumbprint(good));
        for bad in ["", good.split_at(1).1, &format!("{good}="), &format!("{good}A"), &good.replace('_', "/")] {
            assert!(!is_thumbprint(bad), "{bad:?}");
        }
    }
}
