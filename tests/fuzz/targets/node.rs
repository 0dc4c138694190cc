//! The fuzz target of node files; `cargo xtask fuzz node` builds and runs it.
#![no_main]

use comity_fuzz::Target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| Target::Node.hold(data));
