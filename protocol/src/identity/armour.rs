//! The text form of the codes that people pass to each other: a prefix that says what the code is, then
//! base 32 (Crockford's alphabet, so that a misread letter is no other letter), then check digits, on one line.
//!
//! White space and letter case do not matter, so a code survives a mail program that breaks lines.

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::keys::{Domain, digest};
use crate::wire::codec;

/// A text that is not the code it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// It does not begin as such a code does.
    #[error("this is no {expected}: it should begin with `{prefix}`")]
    NotThisKind {
        /// What was expected, as people call it.
        expected: &'static str,
        /// How that begins.
        prefix: &'static str,
    },
    /// It holds a character that no code has.
    #[error("the {expected} has a `{found}` at character {position}, which no code contains; copy it again")]
    Character {
        /// What was expected.
        expected: &'static str,
        /// The character.
        found: char,
        /// Where it stands, from 1.
        position: usize,
    },
    /// A part is missing, or a character differs from what was written.
    #[error(
        "the {expected} is incomplete or has a typing error: its check digits do not match; copy it again"
    )]
    Check {
        /// What was expected.
        expected: &'static str,
    },
    /// It is intact, but from a version that writes other codes.
    #[error("the {expected} was made by another version of jamsync; bring both to the same version")]
    Version {
        /// What was expected.
        expected: &'static str,
    },
}

/// One kind of code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// What people call it.
    pub(super) name: &'static str,
    /// What it begins with, in lower case.
    pub(super) prefix: &'static str,
    /// The most that it holds.
    pub(super) bytes_max: usize,
}

/// Gives the code `$code` its text form, and a debug form that shows the named fields, which are no secret.
macro_rules! text_form {
    ($code:ident, $kind:expr, shows: $($shown:ident),+) => {
        impl core::fmt::Display for $code {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $kind.show(self, f)
            }
        }
        impl core::str::FromStr for $code {
            type Err = $crate::identity::armour::CodeError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $kind.parse(text)
            }
        }
        impl core::fmt::Debug for $code {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($code))$(.field(stringify!($shown), &self.$shown))+.finish_non_exhaustive()
            }
        }
    };
}
pub(super) use text_form;

/// What a code holds. Append-only: the place of a variant is its number in the code.
#[derive(Serialize, Deserialize)]
enum Versioned<T> {
    V1(T),
}

impl Kind {
    /// Writes what a code of this kind holds.
    pub(super) fn show(self, code: &impl Serialize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = codec::encode(&Versioned::V1(code), self.bytes_max).map_err(|_| fmt::Error)?;
        f.write_str(&self.write(&bytes))
    }

    /// What a code of this kind holds.
    pub(super) fn parse<T: DeserializeOwned>(self, text: &str) -> Result<T, CodeError> {
        let bytes = self.read(text)?;
        let held = codec::decode(&bytes).map_err(|_| CodeError::Version { expected: self.name })?;
        let Versioned::V1(code) = held;
        Ok(code)
    }

    /// `bytes` as a code of this kind.
    fn write(self, bytes: &[u8]) -> String {
        let mut checked = bytes.to_vec();
        checked.extend_from_slice(&self.check(bytes));
        let mut text = String::from(self.prefix);
        let (mut held, mut bits) = (0u32, 0u32);
        for byte in checked {
            held = held << 8 | u32::from(byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                text.push(digit_of(held >> bits));
            }
        }
        if bits > 0 {
            text.push(digit_of(held << (5 - bits)));
        }
        text
    }

    /// The bytes of a code of this kind.
    fn read(self, text: &str) -> Result<Vec<u8>, CodeError> {
        let expected = self.name;
        let text: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).take(CODE_CHARS_MAX).collect();
        let begins = |(c, p): (&char, char)| c.eq_ignore_ascii_case(&p);
        if text.len() < self.prefix.len() || !text.iter().zip(self.prefix.chars()).all(begins) {
            return Err(CodeError::NotThisKind { expected, prefix: self.prefix });
        }
        let mut bytes = Vec::new();
        let (mut held, mut bits) = (0u32, 0u32);
        for (at, &found) in text.iter().enumerate().skip(self.prefix.len()) {
            let value = value_of(found).ok_or(CodeError::Character { expected, found, position: at + 1 })?;
            held = (held << 5 | value) & 0xfff;
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes.push(u8::try_from(held >> bits & 0xff).unwrap_or_default());
            }
        }
        let (payload, check) =
            bytes.split_last_chunk::<CHECK_BYTES>().ok_or(CodeError::Check { expected })?;
        // The bits that fill up the last character are zero, so that a code has one spelling.
        let filled = held & ((1 << bits) - 1) == 0 && bits < 5;
        if filled && *check == self.check(payload) {
            Ok(payload.to_vec())
        } else {
            Err(CodeError::Check { expected })
        }
    }

    fn check(self, bytes: &[u8]) -> [u8; CHECK_BYTES] {
        let hash = digest(Domain::CodeCheck, &[self.prefix.as_bytes(), bytes].concat());
        core::array::from_fn(|at| hash.get(at).copied().unwrap_or_default())
    }
}

/// Check digits of 32 bits let one typing error in four thousand million pass.
const CHECK_BYTES: usize = 4;
/// More than the longest code; what is beyond is not looked at.
const CODE_CHARS_MAX: usize = 4_096;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn digit_of(value: u32) -> char {
    let index = usize::try_from(value & 31).unwrap_or_default();
    ALPHABET.get(index).map_or('0', |&digit| char::from(digit))
}

/// The value of a digit; letters that look like a digit count as that digit.
fn value_of(c: char) -> Option<u32> {
    let c = match c.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    ALPHABET.iter().position(|&digit| char::from(digit) == c).and_then(|at| u32::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    const KIND: Kind = Kind { name: "test code", prefix: "test:", bytes_max: 200 };

    proptest! {
        #[test]
        fn any_bytes_survive_the_text_form(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(KIND.read(&KIND.write(&bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_a_code_or_a_named_error(text in ".{0,200}") {
            let _ = KIND.read(&text);
        }

        #[test]
        fn one_changed_character_is_noticed(bytes in prop::collection::vec(any::<u8>(), 1..80), at in any::<prop::sample::Index>(), to in 0u32..32) {
            let text = KIND.write(&bytes);
            let mut chars: Vec<char> = text.chars().collect();
            let at = 5 + at.index(chars.len() - 5);
            prop_assume!(chars[at] != digit_of(to));
            chars[at] = digit_of(to);
            let changed: String = chars.into_iter().collect();
            prop_assert_eq!(KIND.read(&changed), Err(CodeError::Check { expected: "test code" }));
        }
    }

    #[test]
    fn case_line_breaks_and_look_alikes_do_not_matter() {
        let text = KIND.write(&[0x00, 0x44, 0x32, 0x14, 0xc7]);
        let mangled = text.to_uppercase().replace('0', "O").replace('1', "l");
        assert_eq!(KIND.read(&(mangled.replacen('O', "\r\n O", 1) + "\n")), KIND.read(&text));
        assert!(KIND.read(&text).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = KIND.read("jamsync:abc").expect_err("another prefix");
        assert_eq!(wrong.to_string(), "this is no test code: it should begin with `test:`");
        let u = KIND.read("test:ab!c").expect_err("no digit");
        assert_eq!(u, CodeError::Character { expected: "test code", found: '!', position: 8 });
        assert_eq!(KIND.read("test:"), Err(CodeError::Check { expected: "test code" }));
    }
}
