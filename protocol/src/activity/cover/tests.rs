//! What is taken for a thumbnail, and what a contact may send in its place.

use alloc::{vec, vec::Vec};

use super::*;

fn part(marker: u8, inside: &[u8]) -> Vec<u8> {
    let length = u16::try_from(inside.len() + 2).expect("short");
    [&[0xff, marker][..], &length.to_be_bytes(), inside].concat()
}

fn frame(width: u16, height: u16, components: u8, bits: u8) -> Vec<u8> {
    let sides = [height.to_be_bytes(), width.to_be_bytes()].concat();
    let colours = vec![0x11; 3 * usize::from(components)];
    part(FRAME, &[&[bits][..], &sides, &[components], &colours].concat())
}

fn jfif() -> Vec<u8> {
    part(JFIF, b"JFIF\0\x01\x02\x00\x00\x01\x00\x01\x00\x00")
}

/// A JPEG of these parts, with a picture of `scan`.
fn jpeg(parts: &[Vec<u8>], scan: &[u8]) -> Vec<u8> {
    let tables = [part(QUANTIZATION, &[1; 65]), part(HUFFMAN, &[0; 30])].concat();
    let all = [&BEGIN[..], &jfif(), &parts.concat(), &tables, &part(SCAN, &[1; 10]), scan, &END];
    all.concat()
}

fn plain() -> Vec<u8> {
    jpeg(&[frame(160, 120, 3, 8)], &[0x12, 0xff, 0x00, 0x34])
}

fn wrong(jpeg: &[u8]) -> ThumbnailError {
    Thumbnail::new(jpeg.to_vec()).expect_err("no thumbnail")
}

#[test]
fn a_plain_jpeg_of_any_length_that_fits_has_one_size_and_comes_back() {
    let lengths = [0, 1, COVER_BYTES - LENGTH_BYTES - plain().len()].map(|more| {
        let scan = [&[0x12; 3][..], &vec![0x55; more]].concat();
        let small = Thumbnail::new(jpeg(&[frame(1, 1, 1, 8)], &scan)).expect("a thumbnail");
        let bytes = small.encode().expect("fits");
        assert_eq!(Thumbnail::decode(&bytes), Ok(small));
        bytes.len()
    });
    assert_eq!(lengths, [COVER_BYTES; 3]);
    let long = jpeg(&[frame(1, 1, 1, 8)], &[0x55; COVER_BYTES]);
    assert_eq!(wrong(&long), ThumbnailError::Size);
    let mut bytes = Thumbnail::new(plain()).expect("a thumbnail").encode().expect("fits");
    assert_eq!(Thumbnail::decode(&bytes[1..]), Err(ThumbnailError::Size));
    *bytes.last_mut().expect("one") = 1;
    assert_eq!(Thumbnail::decode(&bytes), Err(ThumbnailError::Size), "filled up with something");
}

#[test]
fn a_picture_of_another_size_kind_or_with_more_in_it_is_none() {
    for (width, height, components, bits) in [
        (161, 1, 3, 8),
        (1, 161, 3, 8),
        (0, 9, 3, 8),
        (9, 0, 3, 8),
        (65_535, 65_535, 3, 8),
        (9, 9, 4, 8),
        (9, 9, 3, 12),
    ] {
        let expected = ThumbnailError::Frame { width, height, components, bits };
        assert_eq!(wrong(&jpeg(&[frame(width, height, components, bits)], &[1])), expected);
    }
    let plain_frame = || frame(9, 9, 3, 8);
    // Progressive, a comment, Exif, a colour profile, restarts, a second frame, a second picture in the JFIF part.
    for (marker, more) in [
        (0xc2, part(0xc2, &[8, 0, 9, 0, 9, 1, 1, 0x11, 0])),
        (0xfe, part(0xfe, b"words")),
        (0xe1, part(0xe1, b"Exif\0\0and where it was taken")),
        (0xe2, part(0xe2, b"ICC_PROFILE\0")),
        (0xdd, part(0xdd, &[0, 1])),
        (FRAME, plain_frame()),
        (JFIF, part(JFIF, b"JFIF\0\x01\x02\x00\x00\x01\x00\x01\x01\x01abc")),
    ] {
        assert_eq!(wrong(&jpeg(&[plain_frame(), more], &[1])), ThumbnailError::Part { marker });
    }
    assert_eq!(wrong(&jpeg(&[], &[1])), ThumbnailError::Part { marker: SCAN }, "no size before the picture");
    for (marker, scan) in
        [(0xd0, &[1, 0xff, 0xd0, 1][..]), (0xda, &[1, 0xff, 0xda, 1]), (0xd9, &[1, 0xff, 0xd9, 1])]
    {
        assert_eq!(wrong(&jpeg(&[plain_frame()], scan)), ThumbnailError::Part { marker });
    }
}

#[test]
fn what_ends_early_or_goes_on_is_none_and_no_byte_of_the_parts_makes_it_fall_over() {
    let whole = plain();
    assert!(Thumbnail::new(whole.clone()).is_ok());
    for length in 0..whole.len() {
        assert!(Thumbnail::new(whole[..length].to_vec()).is_err(), "{length}");
    }
    assert!(Thumbnail::new([&whole[..], b"more"].concat()).is_err());
    assert!(Thumbnail::new(b"\x89PNG\r\n\x1a\n".to_vec()).is_err());
    for at in 0..whole.len() {
        for value in 0..=255 {
            let mut changed = whole.clone();
            changed[at] = value;
            if let Ok(taken) = Thumbnail::new(changed) {
                assert_eq!(taken.jpeg().len(), whole.len());
            }
        }
    }
}

#[test]
fn an_address_is_of_all_its_bytes_and_a_key_never_prints_itself() {
    let block = |byte: u8, last: u8| {
        let mut bytes = vec![byte; SEALED_COVER_BYTES];
        bytes[SEALED_COVER_BYTES - 1] = last;
        CoverAddress::of(&Block::new(bytes).expect("of its size"))
    };
    assert_eq!(block(1, 1), block(1, 1));
    assert!(block(1, 1) != block(1, 2) && block(1, 1) != block(2, 1));
    assert!(!alloc::format!("{:?}", CoverKey([0xab; 32])).contains("ab"));
}
