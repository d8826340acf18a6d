//! Text in columns: how wide it is on a terminal, and how it is cut to fit.

use std::io;

/// The columns of the terminal on standard output, or `None` where it goes elsewhere and nothing needs cutting.
pub(super) fn terminal() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col).max(NARROWEST))
}

/// `text`, cut with an ellipsis to at most `columns`.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut short = String::new();
    for character in text.chars() {
        let Some(rest) = left.checked_sub(character_width(character)) else { break };
        left = rest;
        short.push(character);
    }
    short.push('…');
    short
}

/// `text`, cut or padded to exactly `columns`.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let mut fitted = cut(text, columns);
    fitted.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&fitted))));
    fitted
}

/// The columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

/// The main ranges of Unicode's East Asian Width and of combining characters: enough for titles, not for typography.
fn character_width(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The fewest columns that lines are made for; a narrower terminal wraps.
const NARROWEST: usize = 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(width("夜に駆ける"), 10);
        assert_eq!(cut("夜に駆ける", 6), "夜に…");
        assert_eq!(fit("añ", 4), "añ  ");
    }

    proptest! {
        #[test]
        fn fitted_text_has_exactly_its_width(text in ".{0,40}", columns in 1usize..60) {
            prop_assert_eq!(width(&fit(&text, columns)), columns);
        }
    }
}
