//! comity-node
fn main() {}
