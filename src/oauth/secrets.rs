//! Whether text of an answer may be shown, next to what must not be.

use std::cell::OnceCell;
use std::collections::HashSet;

use secrecy::{ExposeSecret, SecretString};

/// As many bytes in common are no accident.
const SLICE: usize = 8;

/// A secret of at least as many bytes is not shown as a part of other text either. Shorter ones
/// would hide half of all words.
const SHORT: usize = 4;

/// What is shown in the place of a secret of so many characters.
pub(super) fn redacted(length: usize) -> String {
    format!("<redacted, {}>", characters(length))
}

/// So many characters, in words.
pub(super) fn characters(count: usize) -> String {
    format!("{count} character{}", if count == 1 { "" } else { "s" })
}

/// The secrets of one request and its answer.
pub(super) struct Secrets<'a> {
    whole: Vec<&'a str>,
    /// Their pieces, thousands of them: made for the first text that is long enough to hold one.
    slices: OnceCell<HashSet<&'a [u8]>>,
}

impl<'a> Secrets<'a> {
    pub(super) fn new(secrets: impl Iterator<Item = &'a SecretString>) -> Self {
        let whole: Vec<&str> = secrets.map(ExposeSecret::expose_secret).collect();
        Self { whole, slices: OnceCell::new() }
    }

    /// Whether a text is, holds or shares a piece with one of them.
    pub(super) fn touch(&self, text: &str) -> bool {
        let holds =
            |secret: &&str| *secret == text || (secret.len() >= SHORT && text.contains(*secret));
        self.whole.iter().any(holds)
            || text.as_bytes().windows(SLICE).any(|slice| self.slices().contains(slice))
    }

    fn slices(&self) -> &HashSet<&'a [u8]> {
        self.slices.get_or_init(|| {
            let mut slices = HashSet::with_capacity(self.whole.iter().map(|s| s.len()).sum());
            slices.extend(self.whole.iter().flat_map(|secret| secret.as_bytes().windows(SLICE)));
            slices
        })
    }
}
