//! The demonstration tells its story, every step as it should be.

use comity_tests::clients::comity;
use comity_tests::program::{run, said};

#[test]
fn the_demonstration_ends_with_zero_if_every_step_went_as_told() {
    let output = run(comity().args(["demo", "--once"]));
    assert!(output.status.success(), "{}", said(&output));
}
