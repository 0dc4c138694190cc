//! The fuzz target of case files; `cargo xtask fuzz cases` builds and runs it.
#![no_main]

use comity_fuzz::Target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| Target::Cases.hold(data));
