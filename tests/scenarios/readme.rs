//! Every command that the README shows is run by a test.

use comity_tests::program::workspace;
use comity_tests::readme::blocks;

/// The tests that a block of the README may name as the one that runs it, with what the block must contain.
/// Adding a block: name its test in a comment above it, `<!-- test: name -->`, and add its row here.
const COVERED: &[(&str, &str)] = &[
    // scenarios/story.rs runs the demonstration; whoever reads this runs `cargo xtask test`.
    ("the_two_commands", "cargo run --release --bin comity -- demo\ncargo xtask test\n"),
];

#[test]
fn every_block_that_a_reader_would_run_is_run_by_a_test() {
    let text = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    for block in blocks(&text).iter().filter(|block| block.is_runnable()) {
        let test = block.test.as_deref().unwrap_or_else(|| panic!("README.md:{}: no test is named above", block.line));
        let row = COVERED.iter().find(|(name, _)| *name == test);
        let (_, code) = row.unwrap_or_else(|| panic!("README.md:{}: {test} is not in COVERED", block.line));
        assert_eq!(&block.code, code, "README.md:{}: {test} runs something else", block.line);
    }
}
