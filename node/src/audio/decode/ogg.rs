//! Whether an Ogg file is all there, which its decoder does not ask: it plays up to where the bytes end.
//!
//! Ogg names no length. What it does have are pages that say how long they are, the last one of which says that it
//! is the last (RFC 3533, section 6). A file whose last page is not whole was cut off. One that ends between two
//! pages without a last one is a recorded stream, and everything it ever held is there.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};

/// Whether this is an Ogg file that ends in the middle of a page. Where it reads next is undefined afterwards.
///
/// # Errors
/// What the system says where the file cannot be read.
pub(super) fn is_cut_off(file: &mut File) -> io::Result<bool> {
    let mut capture = Vec::new();
    file.by_ref().take(CAPTURE.len() as u64).read_to_end(&mut capture)?;
    if capture != CAPTURE {
        return Ok(false);
    }
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(PAGE_MAX)))?;
    let mut tail = Vec::new();
    file.by_ref().take(PAGE_MAX).read_to_end(&mut tail)?;
    Ok(ends_within_a_page(&tail))
}

/// Whether the last bytes of an Ogg file stop before its last page does.
fn ends_within_a_page(mut tail: &[u8]) -> bool {
    let mut whole = false;
    while let Some(start) = tail.windows(CAPTURE.len()).position(|bytes| bytes == CAPTURE) {
        let page = tail.get(start..).unwrap_or_default();
        let Some(rest) = page_length(page).and_then(|length| page.get(length..)) else { return true };
        let last = page.get(FLAGS).is_some_and(|flags| flags & LAST_PAGE != 0);
        // Players of tags append theirs behind the last page.
        whole = last || rest.is_empty();
        tail = rest;
    }
    !whole
}

/// How many bytes the page has that begins here, or `None` where not even its header is whole.
fn page_length(page: &[u8]) -> Option<usize> {
    let segments = usize::from(*page.get(SEGMENT_COUNT)?);
    let header = SEGMENT_COUNT + 1 + segments;
    let table = page.get(SEGMENT_COUNT + 1..header)?;
    Some(header + table.iter().map(|length| usize::from(*length)).sum::<usize>())
}

/// What every page begins with.
const CAPTURE: &[u8] = b"OggS";
/// Where a page keeps its flags, and the one that says that no page follows.
const FLAGS: usize = 5;
const LAST_PAGE: u8 = 0x04;
/// Where a page says how many segments it has; their lengths follow, a byte each.
const SEGMENT_COUNT: usize = 26;
/// The longest page: a header and 255 segments of 255 bytes.
const PAGE_MAX: u64 = 27 + 255 + 255 * 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn page(flags: u8, segments: &[u8]) -> Vec<u8> {
        let mut page = CAPTURE.to_vec();
        page.extend([0, flags]);
        page.extend([7; 20]);
        page.push(u8::try_from(segments.len()).unwrap());
        page.extend(segments);
        page.extend(segments.iter().flat_map(|length| vec![0x5a; usize::from(*length)]));
        page
    }

    #[test]
    fn a_file_is_cut_off_wherever_its_last_page_is_not_whole() {
        let music = page(0, &[255, 255, 30]);
        let last = page(LAST_PAGE, &[200]);
        let file = [&music[100..], &music, &last].concat();
        assert!(!ends_within_a_page(&file), "it is whole");
        let boundaries = [2 * music.len() - 100, file.len()];
        for length in music.len() - 99..=file.len() {
            let cut = ends_within_a_page(&file[..length]);
            assert_eq!(cut, !boundaries.contains(&length), "of {} bytes {length}", file.len());
        }
    }

    #[test]
    fn what_stands_behind_the_last_page_is_no_music() {
        let tagged = [page(LAST_PAGE, &[9]), b"TAG of another program".to_vec()].concat();
        assert!(!ends_within_a_page(&tagged));
        let chained = [page(LAST_PAGE, &[9]), page(0, &[9])[..20].to_vec()].concat();
        assert!(ends_within_a_page(&chained), "a second stream began and was cut off");
    }
}
