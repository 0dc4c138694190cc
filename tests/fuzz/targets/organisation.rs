//! The fuzz target of organisation files; `cargo xtask fuzz organisation` builds and runs it.
#![no_main]

use comity_fuzz::Target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| Target::Organisation.hold(data));
