//! The order in which people number things: `2 b` before `10 a`.

/// Compares as people do: numbers by their value, letters without their case. Texts that differ are never equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Natural {
    chunks: Vec<Chunk>,
    /// Decides between `a1`, `a01` and `A1`.
    exact: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Chunk {
    /// The count of digits, then the digits, leading zeros taken off: ordered like the value, however large.
    Number(usize, String),
    Text(String),
}

impl Natural {
    pub(super) fn new(text: &str) -> Self {
        let mut chunks = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let digits = first.is_ascii_digit();
            let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
            let (chunk, after) = rest.split_at(end);
            chunks.push(if digits {
                let value = chunk.trim_start_matches('0');
                Chunk::Number(value.len(), value.to_owned())
            } else {
                Chunk::Text(chunk.to_lowercase())
            });
            rest = after;
        }
        Self { chunks, exact: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_count_by_their_value() {
        let mut names = ["10 a", "2 b", "track 99999999999999999999", "Track 1", "01 c", "1 c", ""];
        names.sort_by_key(|name| Natural::new(name));
        assert_eq!(names, ["", "01 c", "1 c", "2 b", "10 a", "Track 1", "track 99999999999999999999"]);
    }

    proptest! {
        #[test]
        fn different_names_have_an_order(a in "[a-cA-C0-9 ]{0,8}", b in "[a-cA-C0-9 ]{0,8}") {
            prop_assert_eq!(Natural::new(&a) == Natural::new(&b), a == b);
        }
    }
}
