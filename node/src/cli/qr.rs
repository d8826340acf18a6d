//! A code as a QR picture made of characters, for the camera of another device.
//!
//! Each character shows two modules, one above the other. On a terminal the colours are set, so that the picture is dark on
//! light whatever the theme is; where it goes elsewhere, the light modules are drawn, as for a dark terminal.

use qrcode::{Color, EcLevel, QrCode};

/// The picture with its margin and a line end behind each row, or a sentence in its place where there is no room for it.
pub(super) fn picture(text: &str, columns: Option<usize>) -> String {
    // A screen has no dirt, so the least redundancy gives the largest modules.
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else {
        return "It is too long for a QR code.\n".to_owned();
    };
    let width = code.width() + 2 * MARGIN;
    if columns.is_some_and(|columns| columns < width) {
        return format!("A QR code of it needs a terminal of {width} columns.\n");
    }
    let colors = code.to_colors();
    let is_dark = |x: usize, y: usize| {
        let (x, y) = (x.checked_sub(MARGIN)?, y.checked_sub(MARGIN)?);
        let place = y.checked_mul(code.width())?.checked_add(x)?;
        let color = colors.get(place).filter(|_| x < code.width())?;
        Some(*color == Color::Dark)
    };
    let mut rows = String::new();
    for y in (0..width).step_by(2) {
        rows.push_str(if columns.is_some() { DARK_ON_LIGHT } else { "" });
        for x in 0..width {
            let [upper, lower] = [y, y + 1].map(|y| is_dark(x, y) == Some(true));
            // Without colours the light ones are drawn.
            rows.push(match (columns.is_some() == upper, columns.is_some() == lower) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        rows.push_str(if columns.is_some() { "\x1b[0m\n" } else { "\n" });
    }
    rows
}

/// The light border without which no camera finds the code, in modules (ISO/IEC 18004, section 6.3.8).
const MARGIN: usize = 4;
/// Black on bright white.
const DARK_ON_LIGHT: &str = "\x1b[30;107m";

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "jamsync-link:0123456789abcdefghijklmnopqrstuvwxyz";

    /// The modules that a picture shows as drawn, row by row.
    fn drawn(picture: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in picture.lines() {
            let line = line.trim_start_matches(DARK_ON_LIGHT).trim_end_matches("\x1b[0m");
            rows.push(line.chars().map(|shown| matches!(shown, '█' | '▀')).collect());
            rows.push(line.chars().map(|shown| matches!(shown, '█' | '▄')).collect());
        }
        rows
    }

    #[test]
    fn every_module_is_where_it_belongs_with_a_margin_around_in_both_ways_to_draw() {
        let code = QrCode::with_error_correction_level(TEXT, EcLevel::L).expect("fits");
        let (colors, size) = (code.to_colors(), code.width());
        for columns in [Some(200), None] {
            let rows = drawn(&picture(TEXT, columns));
            assert!(rows.len() >= size + 2 * MARGIN);
            for (y, row) in rows.iter().enumerate() {
                assert_eq!(row.len(), size + 2 * MARGIN);
                for (x, drawn) in row.iter().enumerate() {
                    let inside = (MARGIN..MARGIN + size).contains(&x) && (MARGIN..MARGIN + size).contains(&y);
                    let dark = inside && colors[(y - MARGIN) * size + x - MARGIN] == Color::Dark;
                    assert_eq!(*drawn == columns.is_some(), dark, "{x}, {y}");
                }
            }
        }
    }

    #[test]
    fn without_room_a_sentence_says_how_much_it_needs() {
        assert!(picture(TEXT, Some(20)).contains("needs a terminal of"));
        assert!(picture(&"x".repeat(3_000), None).contains("too long"));
    }
}
