//! Music with a title and a picture in its tags, made here.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use image::{ImageFormat, Rgb, RgbImage};

use super::stage::piece;

/// A WAV of `seconds` at `path` with this title and this picture as its front cover.
pub(super) fn pictured(path: &Path, seconds: u32, title: &str, picture: &[u8]) -> PathBuf {
    let seed = title.bytes().map(u64::from).sum::<u64>() % 300;
    let mut bytes = fs::read(piece(path, seed, seconds)).expect("reads");
    let frame = |name: &[u8; 4], content: &[u8]| [&name[..], &long(content.len()), &[0, 0], content].concat();
    let cover = [b"\0image/png\0\x03\0", picture].concat();
    let frames = [frame(b"TIT2", &[b"\0", title.as_bytes()].concat()), frame(b"APIC", &cover)].concat();
    let size = u32::try_from(frames.len()).expect("short");
    let size = [21, 14, 7, 0].map(|shift| u8::try_from(size >> shift & 0x7f).expect("seven bits"));
    let mut tag = [&b"ID3\x03\0\0"[..], &size, &frames].concat();
    let length = u32::try_from(tag.len()).expect("short").to_le_bytes();
    if tag.len() % 2 == 1 {
        tag.push(0);
    }
    bytes.extend([&b"id3 "[..], &length, &tag].concat());
    let all = u32::try_from(bytes.len() - 8).expect("short").to_le_bytes();
    bytes[4..8].copy_from_slice(&all);
    fs::write(path, &bytes).expect("written");
    path.to_owned()
}

/// A PNG of one colour with noise over it, so that no two are alike.
pub(super) fn noisy(colour: [u8; 3], side: u32, mut seed: u32) -> Vec<u8> {
    let drawn = RgbImage::from_fn(side, side, |_, _| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = seed.to_be_bytes().map(|byte| byte % 64);
        let [red, green, blue] = colour;
        Rgb([red ^ noise[0], green ^ noise[1], blue ^ noise[2]])
    });
    let mut bytes = Cursor::new(Vec::new());
    drawn.write_to(&mut bytes, ImageFormat::Png).expect("encoded");
    bytes.into_inner()
}

fn long(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("short").to_be_bytes()
}
