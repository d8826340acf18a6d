//! Bounded text and lists: what arrives from outside is measured before it is kept.

use alloc::{format, string::String, vec::Vec};
use core::{fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, SeqAccess, Visitor},
};

/// UTF-8 text of at most `MAX` bytes. It may hold anything a peer wrote: pass it through
/// [`printable`](Self::printable) before a terminal sees it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(String);

/// A list of at most `MAX` items.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct List<T, const MAX: usize>(Vec<T>);

/// A text or a list was longer than its place allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{actual} bytes or items where at most {limit} are allowed")]
pub struct TooLong {
    /// What was offered.
    pub actual: usize,
    /// What is allowed.
    pub limit: usize,
}

impl<const MAX: usize> Text<MAX> {
    /// `text`, if it fits.
    ///
    /// # Errors
    /// [`TooLong`] above `MAX` bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, TooLong> {
        let text = text.into();
        if text.len() > MAX { Err(TooLong { actual: text.len(), limit: MAX }) } else { Ok(Self(text)) }
    }

    /// As much of `text` as fits, cut at a character's end.
    #[must_use]
    pub fn truncated(text: &str) -> Self {
        Self(String::from(&text[..text.floor_char_boundary(MAX)]))
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text without what steers a terminal or reorders a line: control characters and the Unicode
    /// direction overrides are shown as `�`.
    #[must_use]
    pub fn printable(&self) -> String {
        printable(&self.0)
    }
}

/// `text` with control characters and Unicode direction overrides replaced by `�`.
#[must_use]
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// `text` made [`printable`], and where it holds letters that are written from right to left, set apart by Unicode's
/// isolates, so that it cannot reorder what stands beside it on the line.
#[must_use]
pub fn isolated(text: &str) -> String {
    let printable = printable(text);
    let from_right = |c: char| {
        matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
            | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    };
    if printable.chars().any(from_right) { format!("\u{2068}{printable}\u{2069}") } else { printable }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// The items, to be changed in place.
    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }

    /// A list without items.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// `items`, if they fit.
    ///
    /// # Errors
    /// [`TooLong`] above `MAX` items.
    pub fn new(items: Vec<T>) -> Result<Self, TooLong> {
        if items.len() > MAX { Err(TooLong { actual: items.len(), limit: MAX }) } else { Ok(Self(items)) }
    }

    /// The items, taken out.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self::empty()
    }
}
impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}
impl<T, const MAX: usize> IntoIterator for List<T, MAX> {
    type Item = T;
    type IntoIter = alloc::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
impl<T: fmt::Debug, const MAX: usize> fmt::Debug for List<T, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.printable())
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<const MAX: usize>;
        impl<const MAX: usize> Visitor<'_> for TextVisitor<MAX> {
            type Value = Text<MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "text of at most {MAX} bytes")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<MAX>, E> {
                Text::new(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
            type Value = List<T, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX} items")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let announced = seq.size_hint().unwrap_or(0);
                if announced > MAX {
                    return Err(A::Error::custom(TooLong { actual: announced, limit: MAX }));
                }
                // Room is made as items prove to exist, never for an announced count.
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == MAX {
                        return Err(A::Error::custom(TooLong { actual: MAX + 1, limit: MAX }));
                    }
                    items.push(item);
                }
                Ok(List(items))
            }
        }
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn text_that_steers_a_terminal_is_made_harmless() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\r\n"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}");
    }

    #[test]
    fn letters_from_the_right_are_set_apart_and_others_left_alone() {
        assert_eq!(isolated("abc"), "abc");
        assert_eq!(isolated("مرحبا\u{202e}"), "\u{2068}مرحبا\u{fffd}\u{2069}");
    }

    #[test]
    fn truncation_keeps_whole_characters() {
        assert_eq!(Text::<4>::truncated("añño").as_str(), "añ");
    }

    #[test]
    fn lists_longer_than_their_bound_are_refused() {
        let long = postcard::to_allocvec(&vec![1u8, 2, 3]).expect("encodes");
        assert!(postcard::from_bytes::<List<u8, 2>>(&long).is_err());
        assert!(postcard::from_bytes::<List<u8, 3>>(&long).is_ok());
    }
}
