//! Covers of one's own music, as they should be and as they should not.

use std::{io::Write, path::PathBuf};

use image::{ImageFormat, Rgb, RgbImage};

use super::*;

/// A picture whose colours run across it; with `noise` one that no encoder makes small.
fn picture(width: u32, height: u32, noise: bool) -> DynamicImage {
    let mut seed = 7_u32;
    let drawn = RgbImage::from_fn(width, height, |x, y| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [byte, other, third, _] = seed.to_be_bytes();
        let run = |at: u32, of: u32| u8::try_from(at * 255 / of).expect("a byte");
        if noise { Rgb([byte, other, third]) } else { Rgb([run(x, width), run(y, height), 90]) }
    });
    drawn.into()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

/// A FLAC without sound whose tags hold `picture`, once or more often.
fn flac(path: &Path, picture: &[u8], kind: u32, times: usize) -> PathBuf {
    let mut file = File::create(path).expect("a file");
    let info = [0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0xc4, 0x42, 0xf0, 0, 0, 0, 0];
    file.write_all(b"fLaC\0\0\0\x22").expect("written");
    file.write_all(&[&info[..], &[0; 16]].concat()).expect("written");
    let long = |number: usize| u32::try_from(number).expect("short").to_be_bytes();
    let mime = b"image/png";
    let head = [&kind.to_be_bytes()[..], &long(mime.len()), mime, &long(0), &[0; 16], &long(picture.len())];
    let block = [&head.concat(), picture].concat();
    for number in 1..=times {
        let mut length = long(block.len());
        length[0] = if number == times { 0x86 } else { 0x06 };
        file.write_all(&length).expect("written");
        file.write_all(&block).expect("written");
    }
    path.to_owned()
}

fn size(thumbnail: &Thumbnail) -> (u32, u32) {
    let drawn = image::load_from_memory(thumbnail.jpeg()).expect("a picture");
    (drawn.width(), drawn.height())
}

#[test]
fn the_picture_in_the_file_is_drawn_small_whatever_its_size_and_format() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height, noise, expected) in [
        (1_200, 1_200, false, (160, 160)),
        (640, 320, false, (160, 80)),
        (40, 30, false, (40, 30)),
        (4_096, 2, false, (160, 1)),
        (700, 700, true, (160, 160)),
    ] {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let bytes = encoded(&picture(width, height, noise), format);
            let track = flac(&folder.path().join("Track.flac"), &bytes, 3, 1);
            let drawn = thumbnail(&track).unwrap_or_else(|| panic!("{width} x {height} {format:?}"));
            assert_eq!(size(&drawn), expected);
            println!("{width} x {height} {format:?}, noise {noise}: {} bytes", drawn.jpeg().len());
        }
    }
}

#[test]
fn what_no_quality_makes_small_enough_is_drawn_smaller() {
    let noise = picture(160, 160, true);
    let drawn = draw(&encoded(&noise, ImageFormat::Png)).expect("drawn");
    let shrunk = shrink(&noise, 80);
    assert!(size(&drawn) == (160, 160) || size(&drawn) == (80, 80));
    assert!(encode(&shrunk, QUALITIES[QUALITIES.len() - 1]).is_some(), "the smallest always fits");
}

#[test]
fn the_colours_are_those_of_the_picture_and_its_words_are_gone() {
    let mut red = RgbImage::new(300, 300);
    red.pixels_mut().for_each(|pixel| *pixel = Rgb([200, 30, 30]));
    let mut bytes = encoded(&red.into(), ImageFormat::Jpeg);
    let secret = b"Exif\0\0taken at the seventh bridge";
    let length = u16::try_from(secret.len() + 2).unwrap().to_be_bytes();
    bytes.splice(2..2, [&[0xff, 0xe1][..], &length, secret].concat());
    let drawn = draw(&bytes).expect("drawn");
    assert!(!drawn.jpeg().windows(13).any(|words| words == b"seventh bridg"));
    let pixel = image::load_from_memory(drawn.jpeg()).unwrap().to_rgb8().get_pixel(80, 80).0;
    let near = |one: u8, other: u8| one.abs_diff(other) < 12;
    assert!(near(pixel[0], 200) && near(pixel[1], 30) && near(pixel[2], 30), "{pixel:?}");
}

#[test]
fn a_picture_beside_the_music_is_taken_where_the_file_has_none_and_the_files_own_first() {
    let folder = tempfile::tempdir().unwrap();
    let track = folder.path().join("Track.wav");
    fs::write(&track, b"no tags at all").unwrap();
    assert_eq!(thumbnail(&track), None);
    fs::write(folder.path().join("Folder.png"), encoded(&picture(50, 20, false), ImageFormat::Png)).unwrap();
    assert_eq!(thumbnail(&track).as_ref().map(size), Some((50, 20)));
    fs::write(folder.path().join("cover.jpg"), encoded(&picture(60, 20, false), ImageFormat::Jpeg)).unwrap();
    assert_eq!(thumbnail(&track).as_ref().map(size), Some((60, 20)));
    let own = encoded(&picture(70, 20, false), ImageFormat::Png);
    let track = flac(&folder.path().join("Track.flac"), &own, 3, 1);
    assert_eq!(thumbnail(&track).as_ref().map(size), Some((70, 20)));
    // A pipe by that name is not waited for, and a file that is too long is not read.
    let other = tempfile::tempdir().unwrap();
    let track = other.path().join("Track.wav");
    fs::write(&track, b"no tags").unwrap();
    fs::create_dir(other.path().join("cover.jpg")).unwrap();
    File::create(other.path().join("cover.png")).unwrap().set_len(PICTURE_BYTES_MAX + 1).unwrap();
    assert_eq!(thumbnail(&track), None);
}

/// A PNG that says it is so large, and has a few bytes of content.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encoded(&picture(8, 8, false), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    // The decoder looks at the check sum of the header before it looks at its size.
    let sum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 },
        )
    })
}

#[test]
fn a_picture_that_claims_to_be_huge_ends_early_or_is_none_costs_the_cover_alone() {
    assert!(draw(&bomb(8, 8)).is_some(), "the check sum is right");
    for (width, height) in [(60_000, 60_000), (4_097, 1), (1, 4_097), (u32::MAX >> 1, u32::MAX >> 1)] {
        assert_eq!(draw(&bomb(width, height)), None, "{width} x {height}");
    }
    let mut huge = encoded(&picture(64, 64, false), ImageFormat::Jpeg);
    let frame = huge.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a frame");
    huge[frame + 5..frame + 9].fill(0xff);
    assert_eq!(draw(&huge), None);
    let whole = encoded(&picture(300, 300, true), ImageFormat::Png);
    for length in [0, 1, 8, 33, 40, whole.len() / 2] {
        assert_eq!(draw(&whole[..length]), None, "{length} bytes");
    }
    assert_eq!(draw(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), None);
    assert_eq!(draw(b"GIF89a\x01\0\x01\0\0\0\0;"), None);
}

#[test]
fn a_file_with_more_in_its_tags_than_anybody_puts_there_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut padded = encoded(&picture(30, 30, false), ImageFormat::Png);
    padded.resize(12 << 20, 0);
    let few = flac(&folder.path().join("few.flac"), &padded, 3, 1);
    assert!(thumbnail(&few).is_some());
    let many = flac(&folder.path().join("many.flac"), &padded, 3, 4);
    assert_eq!(thumbnail(&many), None);
}

#[test]
fn no_damage_to_a_picture_makes_it_fall_over() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let whole = encoded(&picture(24, 24, true), format);
        for at in 0..whole.len().min(800) {
            for bit in [0x01, 0x80] {
                let mut damaged = whole.clone();
                damaged[at] ^= bit;
                if let Some(drawn) = draw(&damaged) {
                    assert!(drawn.jpeg().len() < 8_192);
                }
            }
        }
    }
}
