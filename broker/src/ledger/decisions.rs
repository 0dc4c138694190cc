//! The record of every decision and of its outcome.
