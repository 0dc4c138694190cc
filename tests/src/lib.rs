//! comity-tests
