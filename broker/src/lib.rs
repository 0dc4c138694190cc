//! comity-broker
