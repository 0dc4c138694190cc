//! comity-identity
