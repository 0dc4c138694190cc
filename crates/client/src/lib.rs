//! comity-client
