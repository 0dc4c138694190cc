//! comity-runtime
