//! The fuzz target of requirements files; `cargo xtask fuzz requirements` builds and runs it.
#![no_main]

use comity_fuzz::Target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| Target::Requirements.hold(data));
