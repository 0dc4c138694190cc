//! comity-proto
