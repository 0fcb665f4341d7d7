//! Scopes (RFC 6749 section 3.3). They are compared as whole words, never as parts of words.

/// Splits a scope into its words. `None` unless there is at least one word, the words have only the characters that RFC 6749 allows, and
/// single spaces separate them.
pub fn words(scope: &str) -> Option<Vec<&str>> {
    let words: Vec<&str> = scope.split(' ').collect();
    words.iter().all(|word| is_word(word)).then_some(words)
}

/// The words of a scope that have only allowed characters, separated by single spaces. `None` if there is no such word.
pub fn normalised(scope: &str) -> Option<String> {
    let words: Vec<&str> = scope.split(' ').filter(|word| is_word(word)).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::{normalised, words};

    #[test]
    fn words_are_separated_by_single_spaces() {
        assert_eq!(words("openid accounts"), Some(vec!["openid", "accounts"]));
        for malformed in ["", " ", "a  b", " a", "a ", "a\tb", "a\"b", "a\\b", "caf\u{e9}"] {
            assert_eq!(words(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn md_14_a_normalised_scope_has_only_well_formed_words() {
        assert_eq!(normalised("openid  accounts ").as_deref(), Some("openid accounts"));
        assert_eq!(normalised("openid caf\u{e9} a\"b").as_deref(), Some("openid"));
        assert_eq!(normalised("  \u{e9} "), None);
    }
}
