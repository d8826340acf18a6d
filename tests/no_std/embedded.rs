//! The protocol in a program without Rust's standard library: what an embedder on a phone or in another
//! player does. It brings its own allocator and its own end of the program; a standard library among the
//! dependencies would bring both a second time, and the build would fail.
#![no_std]

extern crate alloc;

use alloc::{format, string::String};
use core::{
    alloc::{GlobalAlloc, Layout},
    panic::PanicInfo,
};

use jamsync_protocol::{
    media::{Frames, SampleRate},
    text::printable,
    time::{JamTime, Ppm, Span},
};

unsafe extern "C" {
    fn aligned_alloc(align: usize, size: usize) -> *mut u8;
    fn free(place: *mut u8);
    fn abort() -> !;
}

struct System;

// SAFETY: C's allocator keeps the contract of GlobalAlloc when the size is a multiple of the alignment.
unsafe impl GlobalAlloc for System {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let layout = layout.pad_to_align();
        // SAFETY: an alignment is a power of two, and the size was padded to it.
        unsafe { aligned_alloc(layout.align(), layout.size()) }
    }
    unsafe fn dealloc(&self, place: *mut u8, _: Layout) {
        // SAFETY: the place came from aligned_alloc.
        unsafe { free(place) }
    }
}

#[global_allocator]
static SYSTEM: System = System;

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    // SAFETY: abort takes nothing and does not return.
    unsafe { abort() }
}

/// Named by the compiled `core`, never called where panics abort.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// The audible instant, in nanoseconds of Jam time, of a frame of a device that is fast by `ppm`.
#[unsafe(no_mangle)]
extern "C" fn jam_time_of(frame: u64, ppm: f64) -> i64 {
    let at = SampleRate::HZ_48000.span_of(Frames(frame));
    let text: String = printable(&format!("{at}"));
    let corrected: Span = at + at.gained_at(Ppm(ppm));
    if text.is_empty() { 0 } else { (JamTime::ZERO + corrected).as_nanos() }
}
