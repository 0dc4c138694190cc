//! comity-membership
